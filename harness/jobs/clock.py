"""The clock of a job: wall and device seconds, peak memory, and energy where the device reports it.

Device clocks are read only after the device has finished its work; time spent loading weights is kept apart.
"""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Spent:
    """What a job, or a part of it, took.

    Attributes:
        work_s: working seconds, without loading and pauses.
        per_image_s: those of them that grow with the number of images.
        energy_j: joules of the device; None where they are not known.
    """

    work_s: float = 0.0
    per_image_s: float = 0.0
    energy_j: float | None = 0.0

    def __add__(self, other: Spent) -> Spent:
        energy = None if self.energy_j is None or other.energy_j is None else self.energy_j + other.energy_j
        return Spent(self.work_s + other.work_s, self.per_image_s + other.per_image_s, energy)

    def __sub__(self, other: Spent) -> Spent:
        energy = None if other.energy_j is None else -other.energy_j
        return self + Spent(-other.work_s, -other.per_image_s, energy)


_PAUSED, _LOADING, _PER_IMAGE, _FIXED = "paused", "loading", "per image", "fixed"


class Clock:
    """Measure one job. Use as a context manager; read `result` afterwards.

    Every second counts once, whatever is nested in what: as paused if anything around it pauses, else as loading if
    anything loads, else as work.

    Args:
        device: what is synchronised before each reading.
        num_devices: how many devices the job holds: its GPUs, or its CPU threads where there is no GPU.
    """

    def __init__(self, device: torch.device, num_devices: float) -> None:
        self.device = device
        self.num_devices = num_devices
        self._whole_device = float(num_devices).is_integer()  # a shared card's counter holds the others' energy too
        self._seconds = dict.fromkeys((_PAUSED, _LOADING, _PER_IMAGE, _FIXED), 0.0)
        self._open = dict.fromkeys((_PAUSED, _LOADING, _PER_IMAGE), 0)
        self._earlier = Spent()
        self._last, self._last_cpu, self._cpu_s = time.perf_counter(), time.process_time(), 0.0
        self._energy: float | None = None
        self._shared = False
        self.result: dict[str, float | None] = {}

    def _now(self) -> float:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _count(self) -> None:
        """Count the seconds since the last reading as what the job did in them."""
        now = self._now()
        kind, cpu = next((kind for kind, depth in self._open.items() if depth), _FIXED), time.process_time()
        self._seconds[kind] += now - self._last
        self._cpu_s += cpu - self._last_cpu if kind in (_FIXED, _PER_IMAGE) else 0.0
        self._last, self._last_cpu = now, cpu

    @contextmanager
    def _as(self, kind: str) -> Iterator[None]:
        self._count()
        self._open[kind] += 1
        try:
            yield
        finally:
            self._count()
            self._open[kind] -= 1

    def __enter__(self) -> Clock:
        _reset_peaks(self.device)
        self._energy = self._joules()
        self._last, self._last_cpu = self._now(), time.process_time()
        return self

    def loading(self) -> AbstractContextManager[None]:
        """Count the time inside as loading, not as work."""
        return self._as(_LOADING)

    def paused(self) -> AbstractContextManager[None]:
        """Do not count the time inside at all: what the harness does with a result."""
        return self._as(_PAUSED)

    def per_image(self) -> AbstractContextManager[None]:
        """Count the time inside as work that grows with the number of images."""
        return self._as(_PER_IMAGE)

    def _joules(self) -> float | None:
        return _energy_j(self.device) if self._whole_device else None

    def spent(self) -> Spent:
        """Return what the job took so far, the parts of a killed run that left a checkpoint included."""
        self._count()
        now = self._joules()
        energy = None if now is None or self._energy is None else now - self._energy
        here = Spent(self._seconds[_FIXED] + self._seconds[_PER_IMAGE], self._seconds[_PER_IMAGE], energy)
        return self._earlier + here

    def add_earlier(self, spent: Spent) -> None:
        """Count what a run took that was killed and is now resumed."""
        self._earlier += spent

    def add_share(self, seconds: float) -> None:
        """Count this job's share of work that was done for several jobs at once; its CPU time and energy are not known."""
        self._seconds[_FIXED] += seconds
        self._shared = True

    def __exit__(self, *exc: object) -> None:
        spent = self.spent()
        self.result = {
            "wall_s": spent.work_s,
            "device_s": spent.work_s * self.num_devices,
            "cpu_s": None
            if self._earlier.work_s or self._shared
            else self._cpu_s,  # of all threads; of an earlier part it is not known
            "per_image_s": spent.per_image_s,
            "load_s": self._seconds[_LOADING],
            "resumed_s": self._earlier.work_s,
            "peak_host_bytes": _peak_host_bytes(),
            "peak_device_bytes": _peak_device_bytes(self.device),
            "energy_j": None if self._shared else spent.energy_j,
        }


def _reset_peaks(device: torch.device) -> None:
    """Forget earlier peaks; a worker process serves many jobs."""
    import contextlib

    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak_host_bytes() -> int:
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _peak_device_bytes(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated(device)


def _energy_j(device: torch.device) -> float | None:
    """Return the device's energy counter in joules since its driver was loaded, or None where it has none."""
    if device.type != "cuda":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        import torch

        # By UUID: CUDA_VISIBLE_DEVICES renumbers devices for torch and not for NVML.
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    except Exception:
        return None  # no NVML, or a device without the counter: energy is then unknown, never zero
