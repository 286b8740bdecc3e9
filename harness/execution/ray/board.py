"""What the workers report while they run, held by an actor of the cluster."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from harness.execution.executor import Stage
from harness.jobs.execute import Where

PAUSE_S = 0.25
"""Least time between two reports of a worker."""

READ_S, GIVE_UP_S = 0.5, 10.0
"""Least time between two readings of the board, and the time after which one that brought nothing is begun anew."""


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


class BoardView:
    """What the driver read of the board last. Reading never waits: progress is not worth a run.

    Args:
        ray: the module, connected; None: nothing is read.
        board: handle of the actor.
    """

    def __init__(self, ray: Any = None, board: Any = None) -> None:
        self.board = board
        self._ray = ray
        self._asked: Any = None
        self._asked_at = 0.0
        self._stages: dict[str, Stage] = {}
        self._wheres: dict[str, Where] = {}
        self._past: dict[str, Where] = {}

    def stages(self) -> dict[str, Stage]:
        """Return the stages of running jobs, read at most twice a second; nothing while the board is lost."""
        if self._ray is not None:
            self._read(timeout_s=0.0)
        return self._stages

    def where(self, key: str, patience_s: float = 0.0) -> Where | None:
        """Return where a job runs that has not ended; None where it has not begun, or the board does not know."""
        if key not in self._wheres and patience_s and self._ray is not None:
            self._asked = None
            self._read(timeout_s=patience_s, now=True)
        return self._wheres.get(key)

    def forget(self, key: str) -> None:
        """Take a job from the board: it has ended; a worker that died could not."""
        self._stages.pop(key, None)
        if (where := self._wheres.pop(key, None)) is not None:
            self._past[key] = where  # it may stand in what is being read now
        with contextlib.suppress(Exception):
            if self.board is not None:
                self.board.put.remote(key, None)

    def _read(self, timeout_s: float, *, now: bool = False) -> None:
        try:
            if self._asked is None and (now or time.monotonic() - self._asked_at > READ_S):
                self._asked, self._asked_at = self.board.snapshot.remote(), time.monotonic()
            if self._asked is not None and self._ray.wait([self._asked], timeout=timeout_s)[0]:
                found: dict[str, Stage] = self._ray.get(self._asked)
                self._asked = None
                self._take(found)
            elif time.monotonic() - self._asked_at > GIVE_UP_S:
                self._asked = None
        except Exception:  # whatever befell the board
            self._asked, self._stages = None, {}

    def _take(self, found: dict[str, Stage]) -> None:
        self._stages = {key: stage for key, stage in found.items() if stage.where != self._past.get(key, ...)}
        self._wheres |= {key: stage.where for key, stage in self._stages.items() if stage.where is not None}
