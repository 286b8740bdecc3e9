"""What the workers report while they run, held by an actor of the cluster."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from harness.execution.executor import Stage
from harness.jobs.execute import Where

PAUSE_S = 0.25
"""Least time between two reports of a worker."""


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


class Reporter:
    """What a worker tells the board of its job, at most four times a second; a `ProgressCallback`.

    Args:
        key: of the job.
        board: handle of the actor.
        where: where the job runs.
    """

    def __init__(self, key: str, board: Any, where: Where) -> None:
        self.key, self.board, self.where = key, board, where
        self._last = 0.0

    def __call__(self, stage: str, done: int, total: int, unit: str, /) -> None:
        """Report."""
        now = time.monotonic()
        if now - self._last > PAUSE_S:
            self._last = now
            self._tell(Stage(stage, done, total, unit, self.where, time.time()))

    def end(self) -> None:
        """Take the job from the board."""
        self._tell(None)

    def _tell(self, stage: Stage | None) -> None:
        with contextlib.suppress(Exception):  # a lost board is no reason to lose the job
            self.board.put.remote(self.key, stage)
