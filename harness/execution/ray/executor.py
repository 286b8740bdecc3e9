"""Run jobs as Ray core tasks: on this machine (a local Ray, started and stopped by the run) or on a cluster.

Each task asks Ray for the CPUs, GPUs and memory that its job states. The store must be reachable from every node.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.core.executors import ExecutorOptions
from harness.core.progress import no_progress
from harness.core.run_status import Machine
from harness.execution.executor import Stage, here
from harness.execution.ray import capacity
from harness.execution.ray.board import BoardView, ProgressBoard, Reporter
from harness.execution.ray.cluster import Cluster
from harness.execution.ray.groups import Groups
from harness.execution.ray.head import ASK_S, Head
from harness.execution.ray.join import join
from harness.execution.ray.losses import as_outcome
from harness.jobs.context import JobContext
from harness.jobs.execute import Outcome, execute
from harness.jobs.job import Job
from harness.jobs.last_words import last_words_file, leaving_last_words, read_last_words

LEAVE_S = 5.0
"""Seconds that a head which does not answer is given to let this process go."""


def run_remote_jobs(jobs: Sequence[Job], context: JobContext, board: Any) -> list[Outcome]:
    """Run jobs in a Ray worker, one after the other; several are trainings that are done as one first."""
    if len(jobs) > 1:
        import ray

        from harness.jobs.together import train_jobs

        where = here(context.device, ray.get_runtime_context().get_node_id())
        reporters = [Reporter(job.key, board, where) for job in jobs]

        def report(stage: str, done: int, total: int, unit: str, /) -> None:
            for reporter in reporters:
                reporter(stage, done, total, unit)

        with leaving_last_words(last_words_file(context.store, jobs[0].key)):
            train_jobs(jobs, context, report)
    return [run_remote_job(job, context, board) for job in jobs]


def run_remote_job(job: Job, context: JobContext, board: Any) -> Outcome:
    """Run one job in a Ray worker."""
    import ray

    where = here(context.device, ray.get_runtime_context().get_node_id())
    report = Reporter(job.key, board, where)
    try:
        with leaving_last_words(last_words_file(context.store, job.key)):
            return replace(execute(job, context, report), where=where)
    finally:
        report.end()


@contextlib.contextmanager
def own_handlers() -> Iterator[None]:
    """Keep what this process does on SIGTERM: Ray replaces it when it connects."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as ended:  # what Ray's own handler makes of it
        if callable(before) and ended.code == signal.SIGTERM:
            before(signal.SIGTERM, None)
        raise
    finally:
        if callable(before):
            signal.signal(signal.SIGTERM, before)


def mute(ray: Any) -> Callable[[], None]:
    """Keep Ray from printing forty lines for each lost worker, of which the view says one; return what undoes it.

    Ray 2.60 has no option for it: `log_to_driver` is about what workers print.
    """
    module = ray._private.worker
    printer = getattr(module, "print_to_stdstream", None)
    module.print_to_stdstream = lambda *args, **kwargs: None
    return lambda: setattr(module, "print_to_stdstream", printer)


TOGETHER_ON = ("cuda",)
"""Devices on which trainings are done as one; on a CPU one after the other is faster."""


def _end_now() -> None:
    """End this process at its end: Ray would wait again for a head that hangs, or crash among its own threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)


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
        self._unmute: Callable[[], None] = lambda: None
        self._head: Any = None
        self._cluster: Any = None
        self._running: dict[Any, list[Job]] = {}
        self._groups = Groups()
        self._ended: list[Outcome] = []
        self._cancelled: dict[str, str] = {}
        self._lost_on: dict[str, set[str]] = {}
        self._seen = BoardView()
        self._compared, self._held_up = 0.0, ""

    def start(self, jobs: list[Job]) -> None:
        """Start or join Ray.

        Args:
            jobs: those that will be handed over; each must fit the cluster.

        Raises:
            UserError: no cluster at the address, a job asks for more than the largest node has, or a node lacks something.
        """
        address = self.options.ray_address
        self.options.say("starting Ray ..." if address is None else f"joining the Ray cluster at {address} ...")
        with own_handlers():
            ray = self._ray = join(address, self.options.workers)
        self._unmute = mute(ray)
        self._head = Head(ray, f"the cluster at {address}" if address else "the local Ray of this run")
        self._cluster = Cluster(ray, self.context.device, self.options, self._head.rows)
        try:
            self._cluster.admit(jobs)
            if address is not None:
                self._cluster.check(jobs, self.context)
        except BaseException:
            self.stop()
            raise
        # Made anew, and empty, on another node when its own is lost; the handles that workers hold stay good.
        self._seen = BoardView(ray, ray.remote(num_cpus=0, max_restarts=-1)(ProgressBoard).remote())
        self._task = ray.remote(max_retries=0)(run_remote_jobs)
        if self.context.device in TOGETHER_ON and self.options.together:
            self._groups.expect(jobs, self._cluster.num_gpus())

    def has_room(self, job: Job) -> bool:
        """Return whether a node has room; `Cluster` counts."""
        idle = not (self._running or self._groups)
        return job.runs_on_driver or idle or self._groups.has_room(job) or bool(self._cluster.has_room(job))

    def submit(self, job: Job) -> None:
        """Queue the job as a task; one that reads files of this machine runs here and now."""
        if job.runs_on_driver:
            where = here("cpu")
            self._ended.append(replace(execute(job, replace(self.context, device="cpu"), no_progress), where=where))
            return
        if self._groups.has_room(job):
            self._groups.add(job)
            return
        self._cluster.place(job)
        if not self._groups.add(job):
            self._hand_over([job])

    def _hand_over(self, jobs: list[Job]) -> None:
        first = jobs[0]
        asked = self._elsewhere(first, capacity.task_options(first, self.context.device))
        name = first.title if len(jobs) == 1 else f"{first.title} and {len(jobs) - 1} more"
        self._running[self._task.options(name=name, **asked).remote(jobs, self.context, self._seen.board)] = jobs

    def _elsewhere(self, job: Job, asked: dict[str, Any]) -> dict[str, Any]:
        """Return what a job asks for; one that was lost before asks for a free node other than those where it was, if any."""
        if not (nodes := self._lost_on.get(job.key)):
            return asked
        labels = asked.get("label_selector", {})
        other = {**labels, "ray.io/node-id": f"!in({', '.join(sorted(nodes))})"}
        return {**asked, "label_selector": other, "fallback_strategy": [{"label_selector": labels}]}

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Collect ended tasks; what the system took away is lost, and may be handed over again.

        Raises:
            ExecutorLost: the cluster is gone.
        """
        for group in self._groups.take():
            self._hand_over(group)
        if self._ended:
            ended_here, self._ended = self._ended, []
            return ended_here
        if not self._running:
            return []
        self._head.check()
        ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
        return [outcome for reference in ended for outcome in self._outcomes(reference)]

    def _outcomes(self, reference: Any) -> list[Outcome]:
        """Return how the jobs of a task ended."""
        jobs = self._running.pop(reference)
        self._cluster.release(jobs[0].key)
        cancelled = next((reason for job in jobs if (reason := self._cancelled.pop(job.key, ""))), "")
        try:
            outcomes: list[Outcome] = self._ray.get(reference)
        except Exception as error:
            outcomes = [self._lost(job, error, cancelled) for job in jobs]
        for job in jobs:
            self._seen.forget(job.key)
        return outcomes

    def _lost(self, job: Job, error: Exception, cancelled: str) -> Outcome:
        """Return how a job ended whose task raised; it goes alone from now on."""
        outcome = self._explain(job, error)
        if cancelled:
            outcome = replace(outcome, error=cancelled, lost=True)
        if outcome.lost and outcome.where is not None:
            self._lost_on.setdefault(job.key, set()).add(outcome.where.node)
        self._groups.part(job.key)
        return outcome

    def _explain(self, job: Job, error: Exception) -> Outcome:
        """Return how a job ended whose task raised."""
        self._head.look_after_loss()
        words = read_last_words(last_words_file(self.context.store, job.key))
        return as_outcome(job.key, error, self._seen.where(job.key, patience_s=2.0), self._head.nodes, words)

    def cancel(self, key: str, reason: str) -> bool:
        """End a running job's worker; `wait` returns it as lost for that reason. False where it does not run."""
        for reference, jobs in self._running.items():
            if any(job.key == key for job in jobs):
                self._cancelled[key] = reason
                self._ray.cancel(reference, force=True)
                return True
        return False

    def waits_for(self) -> str:
        """Return which job waits inside Ray because no node of the cluster can hold it; empty where there is none."""
        if self._running and time.monotonic() - self._compared > ASK_S:
            self._compared = time.monotonic()
            stuck = self._cluster.stuck(
                jobs[0] for jobs in self._running.values() if self._seen.where(jobs[0].key) is None
            )
            self._held_up = stuck and f"{stuck}; the run continues when such a node joins"
        return self._held_up

    def stages(self) -> dict[str, Stage]:
        """Return what the workers report, read at most twice a second; nothing while the board is lost."""
        stages = self._seen.stages()
        if stages:
            self._cluster.follow(stages)
        return stages

    def machines(self) -> list[Machine]:
        """Return the nodes that live."""
        return [capacity.Node.read(row).machine() for row in self._head.table if row["Alive"]]

    def stop(self) -> None:
        """Shut the local Ray down, or leave the cluster; a head that does not answer is not waited for."""
        if self._ray is None:
            return
        self._unmute()
        if self._head is not None and self._head.is_lost:
            leaving = threading.Thread(target=self._leave, name="ray-leave", daemon=True)
            leaving.start()
            leaving.join(timeout=LEAVE_S)
            if leaving.is_alive():
                atexit.register(_end_now)
        else:
            self._leave()

    def _leave(self) -> None:
        if self._cluster is not None:
            self._cluster.leave()
        self._ray.shutdown()
