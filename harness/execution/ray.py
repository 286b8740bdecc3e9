"""Run jobs as Ray core tasks: on this machine (a local Ray, started and stopped by the run) or on a cluster.

Each task asks Ray for the CPUs, GPUs and memory that its job states. The store must be reachable from every node.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from dataclasses import replace
from typing import Any

from harness.core.errors import UserError
from harness.core.executors import ExecutorOptions
from harness.core.progress import no_progress
from harness.execution.scheduler import Stage
from harness.jobs.context import JobContext
from harness.jobs.execute import Outcome, execute
from harness.jobs.job import Job

GB = 10**9


class ProgressBoard:
    """A Ray actor that holds the current stage of each running job."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}

    def put(self, key: str, stage: Stage | None) -> None:
        """Set the stage of a job; None when it ended."""
        if stage is None:
            self._stages.pop(key, None)
        else:
            self._stages[key] = stage

    def snapshot(self) -> dict[str, Stage]:
        """Return the stages by job key."""
        return self._stages


def run_remote_job(job: Job, context: JobContext, board: Any) -> Outcome:
    """Run one job in a Ray worker; what it is doing goes to the board at most four times a second."""
    last = 0.0

    def report(stage: str, done: int, total: int, unit: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > 0.25:
            last = now
            tell(Stage(stage, done, total, unit))

    def tell(stage: Stage | None) -> None:
        with contextlib.suppress(Exception):  # a lost board is no reason to lose the job
            board.put.remote(job.key, stage)

    outcome = execute(job, context, report)
    tell(None)
    return outcome


def fits(resources: dict[str, float], running: list[dict[str, float]], needs: dict[str, float]) -> bool:
    """Return whether a job that needs so many CPUs, GPUs and bytes of memory fits beside those that run.

    Args:
        resources: of a node or a cluster, by Ray's names; one that is not named is not there.
        running: what each running job holds.
        needs: what the job asks for.
    """
    return all(
        sum(held[name] for held in running) + amount <= resources.get(name, 0) + 1e-6 for name, amount in needs.items()
    )


class RayExecutor:
    """Ray core tasks with a driver that hands out ready jobs.

    Args:
        context: what all jobs of the run share.
        options: `ray_address`, a running cluster ("auto", "host:6379"), or None for a local Ray of this run; `workers`, the
            CPUs of a local Ray, or None for all cores.
    """

    def __init__(self, context: JobContext, options: ExecutorOptions | None = None) -> None:
        options = options or ExecutorOptions()
        self.context = context
        self.address = options.ray_address
        self.num_workers = options.workers
        self._ray: Any = None
        self._running: dict[Any, Job] = {}
        self._ended: list[Outcome] = []
        self._board: Any = None
        self._stages: dict[str, Stage] = {}
        self._stages_read = 0.0

    def start(self, jobs: list[Job]) -> None:
        """Start or join Ray.

        Args:
            jobs: those that will be handed over; each must fit the cluster.

        Raises:
            UserError: no cluster at the address, or a job asks for more than the largest node has.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self._ray = ray
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            options |= {"num_cpus": self.num_workers or os.cpu_count(), "include_dashboard": False}
        try:
            ray.init(address=self.address or "local", **options)
        except Exception as error:
            raise UserError(
                f"Ray cannot be {'reached at ' + self.address if self.address else 'started here'}: {error}. "
                "Use --executor local to run in this process, or give the address of a running cluster."
            ) from None
        self.check_fit(jobs)
        # Made anew, and empty, on another node when its own is lost; the handles that workers hold stay good.
        self._board = ray.remote(num_cpus=0, max_restarts=-1)(ProgressBoard).remote()
        self._task = ray.remote(max_retries=0)(run_remote_job)
        # Peak memory is read from the process, so what it is reported of gets a process of its own.
        self._measured_task = ray.remote(max_retries=0, max_calls=1)(run_remote_job)

    def check_fit(self, jobs: list[Job]) -> None:
        """Refuse jobs that no node can hold: such a task would wait for ever.

        Raises:
            UserError: names the first; Ray is left.
        """
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        for job in jobs:
            needs = self._needs(job)
            if not job.runs_on_driver and not any(fits(node, [], needs) for node in nodes):
                self.stop()
                raise UserError(
                    f"job {job.title!r} asks for {needs['CPU']} CPUs, {needs['GPU']} GPUs and "
                    f"{needs['memory'] / GB:.1f} GB; no node of this Ray has that "
                    f"({len(nodes)} nodes, the largest with {max(n.get('CPU', 0) for n in nodes):.0f} CPUs and "
                    f"{max(n.get('memory', 0) for n in nodes) / GB:.1f} GB). Join a cluster that has it with "
                    f"--ray-address, or lower `resources` of {job.kind} in the suite. The number of CPUs belongs to a "
                    "job's key: what is in the store was made with the old number and will be made again."
                )

    def _options(self, job: Job) -> dict[str, Any]:
        uses_gpu = self.context.device.startswith("cuda")
        return {
            "num_cpus": job.resources.cpus,
            "num_gpus": (job.resources.gpus or 1) if uses_gpu else 0,
            "memory": int(job.resources.memory_gb * GB),
        }

    def _needs(self, job: Job) -> dict[str, float]:
        asked = self._options(job)
        return {"CPU": asked["num_cpus"], "GPU": asked["num_gpus"], "memory": asked["memory"]}

    def has_room(self, job: Job) -> bool:
        """Count CPUs, GPUs and memory of the whole cluster: a job that waits inside Ray cannot be put behind another."""
        if job.runs_on_driver or not self._running:
            return True
        running = [self._needs(other) for other in self._running.values()]
        return fits(self._ray.cluster_resources(), running, self._needs(job))

    def submit(self, job: Job) -> None:
        """Queue the job as a task; one that reads files of this machine runs here and now."""
        if job.runs_on_driver:
            self._ended.append(execute(job, replace(self.context, device="cpu"), no_progress))
            return
        task = self._measured_task if job.kind in ("fit", "synthesize") else self._task
        reference = task.options(**self._options(job)).remote(job, self.context, self._board)
        self._running[reference] = job

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Collect ended tasks; a worker that died is a failed job."""
        if self._ended:
            ended_here, self._ended = self._ended, []
            return ended_here
        if not self._running:
            return []
        ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
        outcomes = []
        for reference in ended:
            job = self._running.pop(reference)
            try:
                outcomes.append(self._ray.get(reference))
            except Exception as error:
                text = str(error).strip().splitlines()
                outcomes.append(Outcome(job.key, f"the worker died: {text[0] if text else error!r}", str(error)))
        return outcomes

    def stages(self) -> dict[str, Stage]:
        """Return what the workers report, read at most twice a second; nothing while the board is lost."""
        if time.monotonic() - self._stages_read > 0.5:
            try:
                self._stages = self._ray.get(self._board.snapshot.remote(), timeout=5)
            except Exception:  # whatever befell the board: progress is never worth a run
                self._stages = {}
            self._stages_read = time.monotonic()
        return self._stages

    def stop(self) -> None:
        """Shut the local Ray down, or leave the cluster."""
        if self._ray is not None:
            self._ray.shutdown()
