"""How the devices of a run are used: how many there are, how many are in use, and in which share of the time they worked.

In: the machines that the executor has, and jobs that end. Out: `Use` of CPUs and GPUs. A job works for as many CPUs and GPUs
as it holds.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.core.run_status import Machine, Use

CPU, GPU = "CPU", "GPU"


class Usage:
    """Adds up what machines offered and what jobs held, in seconds of one device."""

    def __init__(self) -> None:
        self.machines: list[Machine] = []
        self._offered = {CPU: 0.0, GPU: 0.0}
        self._held = {CPU: 0.0, GPU: 0.0}
        self._since: float | None = None

    def offer(self, machines: list[Machine], now: float) -> bool:
        """Take which machines there are; return whether that changed. The time since the last call counts for the old ones."""
        if self._since is not None:
            for name, there in self._there().items():
                self._offered[name] += there * (now - self._since)
        self._since = now
        changed = machines != self.machines
        self.machines = machines
        return changed

    def hold(self, cpus: float, gpus: float, seconds: float) -> None:
        """Count a job, or a lost try of one, that has ended."""
        self._held[CPU] += cpus * seconds
        self._held[GPU] += gpus * seconds

    def _there(self) -> dict[str, float]:
        return {CPU: sum(m.cpus for m in self.machines), GPU: sum(m.gpus for m in self.machines)}

    def use(self, running: Iterable[tuple[float, float, float]]) -> dict[str, Use]:
        """Return the use of each kind of device that is there.

        Args:
            running: CPUs, GPUs and seconds so far of each job that runs.
        """
        in_use, held = {CPU: 0.0, GPU: 0.0}, dict(self._held)
        for cpus, gpus, seconds in running:
            for name, number in ((CPU, cpus), (GPU, gpus)):
                in_use[name] += number
                held[name] += number * seconds
        return {
            name: Use(
                there=there,
                in_use=in_use[name],
                share=held[name] / offered if (offered := self._offered[name]) else None,
            )
            for name, there in self._there().items()
            if there or in_use[name]
        }
