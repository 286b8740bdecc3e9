"""End jobs that run too long: an executor around another one.

A job's time begins when it is first seen at work, not when it is handed out: it may wait for a worker. Who ran out of time
has failed and is not tried again, for it would run out of time again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from harness.core.text import duration
from harness.execution.executor import Executor, Stage
from harness.execution.progress import Pace
from harness.jobs.execute import Outcome
from harness.jobs.job import Job

LOOK_S = 1.0
"""Seconds between two looks at the clock."""


class TimeLimit:
    """An executor whose jobs end after `limit_s` seconds.

    Args:
        executor: where jobs run.
        limit_s: for each try of a job.
    """

    def __init__(self, executor: Executor, limit_s: float) -> None:
        self.executor = executor
        self.limit_s = limit_s
        self._running: dict[str, float | None] = {}
        self._late: dict[str, str] = {}
        self._pace = Pace(LOOK_S)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)

    def submit(self, job: Job) -> None:
        """Hand it on; its time has not begun."""
        self._running[job.key] = None
        self.executor.submit(job)

    def wait(self, timeout_s: float) -> list[Outcome]:
        """End what is late, and return what ended."""
        if self._pace.due():
            self._look(self.executor.stages())
        return [self._judge(outcome) for outcome in self.executor.wait(timeout_s)]

    def _look(self, stages: dict[str, Stage]) -> None:
        now = time.monotonic()
        for key, begun in self._running.items():
            if begun is None:
                self._running[key] = now if key in stages else None
            elif now - begun > self.limit_s and key not in self._late:
                self._late[key] = f"stopped after {duration(now - begun)}: --job-timeout is {duration(self.limit_s)}"
                self.executor.cancel(key, self._late[key])

    def _judge(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a job that was ended as a failure; one that was done just before is done."""
        self._running.pop(outcome.key, None)
        reason = self._late.pop(outcome.key, None)
        if reason is None or outcome.ok:
            return outcome
        return replace(outcome, error=reason, lost=False, missing=None)
