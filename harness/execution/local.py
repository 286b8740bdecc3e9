"""Run jobs one after the other in this process's main thread."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import replace

from harness.core.executors import ExecutorOptions
from harness.core.run_status import Machine
from harness.execution.executor import Stage, here
from harness.jobs.context import JobContext
from harness.jobs.execute import Outcome, execute
from harness.jobs.job import Job


class LocalExecutor:
    """Runs one job at a time in this process. Use it to debug a method: breakpoints work.

    Args:
        context: what all jobs of the run share.
        options: its `refresh` is called at each progress report, so that a live view moves while a job runs.
    """

    def __init__(self, context: JobContext, options: ExecutorOptions | None = None) -> None:
        options = options or ExecutorOptions()
        self.context = context
        self.refresh = options.refresh
        self._ended: list[Outcome] = []

    def start(self, jobs: list[Job]) -> None:
        """Nothing to start."""

    def has_room(self, job: Job) -> bool:
        """One job at a time."""
        return not self._ended

    def submit(self, job: Job) -> None:
        """Run the job to its end."""
        where = here(self.context.device)

        def report(stage: str, done: int, total: int, unit: str) -> None:
            self.refresh({job.key: Stage(stage, done, total, unit, where, time.time())})

        self._ended.append(replace(execute(job, self.context, report), where=where))

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Return what has ended; never waits."""
        ended, self._ended = self._ended, []
        return ended

    def cancel(self, key: str, reason: str) -> bool:
        """Return False: a job of this process ends by itself, or with the process."""
        return False

    def waits_for(self) -> str:
        """Nothing waits."""
        return ""

    def stages(self) -> dict[str, Stage]:
        """Nothing runs between two submits."""
        return {}

    def machines(self) -> list[Machine]:
        """Return this machine."""
        gpus = 1.0 if self.context.device.startswith("cuda") else 0.0
        return [Machine(host=platform.node(), cpus=float(os.cpu_count() or 1), gpus=gpus)]

    def stop(self) -> None:
        """Nothing to stop."""
