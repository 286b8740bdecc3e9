"""Walk a plan: hand ready jobs to an executor, skip what the store has, and let a failure block only what needs it.

In: a plan, a store, an executor. Out: an outcome per job. The order in which jobs finish never changes a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from harness.jobs.execute import Outcome
from harness.jobs.job import KINDS, Job
from harness.planning.plan import Plan

Status = Literal["waiting", "running", "done", "cached", "not needed", "failed", "blocked"]
"""`cached`: the store had it. `not needed`: the store lacks it, and nothing that will run needs it."""


@dataclass(frozen=True)
class Stage:
    """What a running job is doing now."""

    name: str
    done: int
    total: int
    unit: str


class Executor(Protocol):
    """Runs jobs somewhere. `submit` may block; `wait` returns what has ended since."""

    def start(self, jobs: list[Job]) -> None:
        """Get ready; raise UserError if this machine or cluster cannot run the jobs that will be handed over."""

    def has_room(self, job: Job) -> bool:
        """Return whether the job can start now, beside those that run; always true when nothing runs."""

    def submit(self, job: Job) -> None:
        """Take a job whose dependencies are in the store."""

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Return the outcomes of jobs that ended, waiting at most `timeout_s` for the first."""

    def stages(self) -> dict[str, Stage]:
        """Return what each running job is doing, by key."""

    def stop(self) -> None:
        """Give everything back; running jobs are abandoned."""


class View(Protocol):
    """Shows progress; see harness/execution/progress.py."""

    def update(self, status: dict[str, Status], stages: dict[str, Stage]) -> None: ...

    def ended(self, job: Job, status: Status, error: str) -> None: ...


class Scheduler:
    """State of one run over one plan."""

    def __init__(self, plan: Plan, has: Callable[[Job], bool], executor: Executor, view: View) -> None:
        self.plan = plan
        self.executor = executor
        self.view = view
        self.errors: dict[str, Outcome] = {}
        self.ended_at: dict[str, float] = {}
        self.status: dict[str, Status] = {key: "cached" if has(job) else "waiting" for key, job in plan.jobs.items()}
        self._prune()
        self._users: dict[str, list[str]] = {key: [] for key in plan.jobs}
        for key, job in plan.jobs.items():
            for needed in job.dependencies():
                self._users[needed].append(key)
        order = {key: (KINDS.index(job.kind), place) for place, (key, job) in enumerate(plan.jobs.items())}
        self._queue = sorted((k for k, s in self.status.items() if s == "waiting"), key=order.__getitem__)

    def _prune(self) -> None:
        """A job that the store lacks is not needed where no row asks for it and nothing that will run needs it."""
        wanted = {row.train for row in self.plan.rows} | {row.synthesize for row in self.plan.rows}
        wanted |= {key for row in self.plan.rows for key in row.fits} | {row.label for row in self.plan.rows}
        needed = {k for k, s in self.status.items() if s == "waiting" and k in wanted}
        frontier = list(needed)
        while frontier:
            for key in self.plan.jobs[frontier.pop()].dependencies():
                if self.status[key] == "waiting" and key not in needed:
                    needed.add(key)
                    frontier.append(key)
        for key, status in self.status.items():
            if status == "waiting" and key not in needed:
                self.status[key] = "not needed"

    def to_run(self) -> list[Job]:
        """Return the jobs that are not in the store, in the order in which they will be handed out."""
        return [self.plan.jobs[key] for key in self._queue]

    def run(self) -> None:
        """Run everything that can run."""
        running = 0
        while self._queue or running:
            while (key := self._next_ready()) and self.executor.has_room(self.plan.jobs[key]):
                self._queue.remove(key)
                self.status[key] = "running"
                running += 1
                self.view.update(self.status, self.executor.stages())
                self.executor.submit(self.plan.jobs[key])
            for outcome in self.executor.wait(0.25):
                running -= 1
                self._end(outcome)
            self.view.update(self.status, self.executor.stages())

    def _next_ready(self) -> str | None:
        for key in self._queue:
            if all(self.status[needed] in ("done", "cached") for needed in self.plan.jobs[key].dependencies()):
                return key
        return None

    def _end(self, outcome: Outcome) -> None:
        key = outcome.key
        self.ended_at[key] = time.time()
        self.status[key] = "done" if outcome.ok else "failed"
        if not outcome.ok:
            self.errors[key] = outcome
            self._block(key, key)
        self.view.ended(self.plan.jobs[key], self.status[key], outcome.error)

    def _block(self, key: str, failed: str) -> None:
        """Mark everything that needs `key` as blocked by the job that failed, with that job's error."""
        for user in self._users[key]:
            if self.status[user] == "waiting":
                self.status[user] = "blocked"
                self._queue.remove(user)
                self.errors[user] = replace(self.errors[failed], key=user, cause=failed)
                self._block(user, failed)
