"""Run jobs as Ray core tasks: on this machine (a local Ray, started and stopped by the run) or on a cluster.

Each task asks Ray for the CPUs, GPUs and memory that its job states. The store must be reachable from every node.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from harness.core.executors import ExecutorOptions
from harness.core.progress import no_progress
from harness.core.run_status import Machine
from harness.execution.executor import Stage, here
from harness.execution.ray import capacity
from harness.execution.ray.board import ProgressBoard, Reporter
from harness.execution.ray.cluster import Cluster
from harness.execution.ray.join import join
from harness.jobs.context import JobContext
from harness.jobs.execute import Outcome, execute
from harness.jobs.job import Job


def run_remote_job(job: Job, context: JobContext, board: Any) -> Outcome:
    """Run one job in a Ray worker."""
    import ray

    where = here(context.device, ray.get_runtime_context().get_node_id())
    report = Reporter(job.key, board, where)
    try:
        return replace(execute(job, context, report), where=where)
    finally:
        report.end()


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
        self.options = options
        self._ray: Any = None
        self._cluster: Any = None
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
            UserError: no cluster at the address, a job asks for more than the largest node has, or a node lacks something.
        """
        ray = self._ray = join(self.options.ray_address, self.options.workers)
        self._cluster = Cluster(ray, self.context.device, self.options)
        try:
            self._cluster.admit(jobs)
            if self.options.ray_address is not None:
                self._cluster.check(jobs, self.context)
        except BaseException:
            self.stop()
            raise
        # Made anew, and empty, on another node when its own is lost; the handles that workers hold stay good.
        self._board = ray.remote(num_cpus=0, max_restarts=-1)(ProgressBoard).remote()
        self._task = ray.remote(max_retries=0)(run_remote_job)
        # Peak memory is read from the process, so what it is reported of gets a process of its own.
        self._measured_task = ray.remote(max_retries=0, max_calls=1)(run_remote_job)

    def has_room(self, job: Job) -> bool:
        """Return whether a node has room; `Cluster` counts."""
        return job.runs_on_driver or not self._running or bool(self._cluster.has_room(job))

    def submit(self, job: Job) -> None:
        """Queue the job as a task; one that reads files of this machine runs here and now."""
        if job.runs_on_driver:
            where = here("cpu")
            self._ended.append(replace(execute(job, replace(self.context, device="cpu"), no_progress), where=where))
            return
        task = self._measured_task if job.kind in ("fit", "synthesize") else self._task
        asked = capacity.task_options(job, self.context.device)
        reference = task.options(name=job.title, **asked).remote(job, self.context, self._board)
        self._running[reference] = job
        self._cluster.place(job)

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
            self._cluster.release(job.key)
            try:
                outcomes.append(self._ray.get(reference))
            except Exception as error:
                outcomes.append(self._lost(job, error))
        return outcomes

    def _lost(self, job: Job, error: Exception) -> Outcome:
        """Return how a job ended whose task Ray could not bring to its end."""
        text = str(error).strip().splitlines()
        seen = self._stages.get(job.key)
        reason = f"the worker died: {text[0] if text else error!r}"
        return Outcome(job.key, reason, str(error), lost=True, where=seen.where if seen else None)

    def stages(self) -> dict[str, Stage]:
        """Return what the workers report, read at most twice a second; nothing while the board is lost."""
        if time.monotonic() - self._stages_read > 0.5:
            try:
                self._stages = self._ray.get(self._board.snapshot.remote(), timeout=5)
                self._cluster.follow(self._stages)
            except Exception:  # whatever befell the board: progress is never worth a run
                self._stages = {}
            self._stages_read = time.monotonic()
        return self._stages

    def machines(self) -> list[Machine]:
        """Return the nodes that live."""
        return [capacity.Node.read(node).machine() for node in self._ray.nodes() if node["Alive"]]

    def stop(self) -> None:
        """Shut the local Ray down, or leave the cluster."""
        if self._ray is not None:
            self._cluster.leave()
            self._ray.shutdown()
