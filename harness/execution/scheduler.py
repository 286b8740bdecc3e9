"""Walk a plan: hand ready jobs to an executor, skip what the store has, try again what the system lost, and let a failure
block only what needs it.

In: a plan, a store, an executor. Out: an outcome per job. The order in which jobs finish never changes a result.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from harness.execution.executor import Executor
from harness.execution.ready import ReadyJobs
from harness.execution.status import Status, Statuses
from harness.execution.view import Loss, View
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.plan import Plan

ASK_AGAIN_S = 2.0
"""Seconds until another run is asked again whether it has done a job that it had claimed."""

_THERE: tuple[Status, ...] = ("done", "cached")


class Claims(Protocol):
    """Keeps two runs from doing one job at the same time; harness/core/claims.py."""

    def take(self, kind: str, key: str) -> bool: ...

    def release(self, kind: str, key: str) -> None: ...


class NoClaims:
    """For a run that nobody shares a store with."""

    def take(self, kind: str, key: str) -> bool:
        """Return True: nobody else does the job."""
        return True

    def release(self, kind: str, key: str) -> None:
        """Nothing was taken."""


@dataclass(frozen=True)
class StoreView:
    """What a scheduler asks of the store.

    Attributes:
        has: whether the artefact of a job is there, as far as a listing tells.
        intact: whether it is there and holds what was written; asked once of each artefact that the run will read.
        has_anew: as `has`, and asked of the storage itself: another run may have written it a moment ago.
    """

    has: Callable[[Job], bool]
    intact: Callable[[Job], bool] = lambda job: True
    has_anew: Callable[[Job], bool] = lambda job: False


class Scheduler:
    """State of one run over one plan.

    Args:
        plan: what is to be done.
        store: what is there already.
        executor: where jobs run.
        view: told what happens.
        claims: keeps other runs from doing the same jobs at the same time.
        retries: how many times a job is retried after its worker or node was lost.

    Attributes:
        status: how each job stands, by key.
        errors: of jobs that failed or were blocked.
        losses: of each job that was lost, how it was, each time.
        ended_at: when each job ended, seconds since 1970.
    """

    def __init__(
        self,
        plan: Plan,
        store: StoreView,
        executor: Executor,
        view: View,
        *,
        claims: Claims | None = None,
        retries: int = 0,
    ) -> None:
        self.plan = plan
        self.store = store
        self.executor = executor
        self.view = view
        self.claims = claims or NoClaims()
        self.retries = retries
        self.errors: dict[str, Outcome] = {}
        self.losses: dict[str, list[Loss]] = {}
        self.ended_at: dict[str, float] = {}
        self.status = Statuses(plan.jobs)
        self._users: dict[str, list[str]] = {key: [] for key in plan.jobs}
        self._lacks: dict[str, set[str]] = {}
        self._made_again: dict[str, int] = {}
        self._steps = itertools.count()
        self._begun: dict[str, int] = {}
        self._made: dict[str, int] = {}
        self._elsewhere: dict[str, float] = {}
        for key, job in plan.jobs.items():
            self.status[key] = "cached" if store.has(job) else "not needed"
            for needed in job.dependencies():
                self._users[needed].append(key)
        self._ready = ReadyJobs(plan.jobs, self._users)
        self._checked: set[str] = set()
        self._waits = ""
        for key in _wanted(plan):
            self._require(key)

    def _require(self, key: str) -> None:
        """Let a job wait for its turn unless it is there or waits already, with all that it stands on."""
        stack = [key]
        while stack:
            key = stack.pop()
            if self._is_there(key) or self.status[key] != "not needed":
                continue
            self.status[key] = "waiting"
            needed = set(self.plan.jobs[key].dependencies())
            self._lacks[key] = {other for other in needed if not self._is_there(other)}
            stack += self._lacks[key]
            if not self._lacks[key]:
                self._ready.add(key)

    def _is_there(self, key: str) -> bool:
        """Return whether a job is done; what the store had is compared with its sums when it is first needed."""
        if self.status[key] == "cached" and key not in self._checked:
            self._checked.add(key)
            if not self.store.intact(self.plan.jobs[key]):
                self.status[key] = "not needed"
        return self.status[key] in _THERE

    def to_run(self) -> list[Job]:
        """Return the jobs that are not in the store, those that can start first."""
        waiting = [key for key, status in self.status.items() if status == "waiting"]
        return [self.plan.jobs[key] for key in self._ready.sort(waiting)]

    def run(self) -> None:
        """Run everything that can run."""
        while self._ready or self._elsewhere or self.status.running:
            self._hand_out()
            for outcome in self.executor.wait(0.25):
                self._end(outcome)
            self._ask_others()
            self._tell_waiting()
            self.view.update(self.status, self.executor.stages())

    def _tell_waiting(self) -> None:
        """Say it once when a job that was handed over cannot begin, and when it can again."""
        if (text := self.executor.waits_for()) != self._waits:
            self._waits = text
            self.view.waits(text)

    def _hand_out(self) -> None:
        while key := self._ready.take(self.executor.has_room):
            job = self.plan.jobs[key]
            if not self.claims.take(job.kind, key):
                self._elsewhere[key] = time.monotonic() + ASK_AGAIN_S
                continue
            self.status[key] = "running"
            self._begun[key] = next(self._steps)
            self.view.update(self.status, self.executor.stages())
            self.view.started(job)
            self.executor.submit(job)

    def _ask_others(self) -> None:
        """Take what other runs have done meanwhile; what they gave up waits for its turn here."""
        if self._elsewhere and not (self._ready or self.status.running):
            time.sleep(0.1)
        now = time.monotonic()
        for key in [key for key, due in self._elsewhere.items() if due <= now]:
            del self._elsewhere[key]
            if self.store.has_anew(self.plan.jobs[key]):
                self._done(key, "cached")
                self.view.ended(self.plan.jobs[key], "cached", Outcome(key))
            else:
                self._ready.add(key)

    def _end(self, outcome: Outcome) -> None:
        key = outcome.key
        job = self.plan.jobs[key]
        self.claims.release(job.kind, key)
        self.ended_at[key] = time.time()
        if outcome.missing is not None and self._make_again(outcome.missing, key):
            self._wait_again(key)
        elif outcome.lost:
            self._lose(outcome)
        elif outcome.ok:
            self._done(key, "done")
            self.view.ended(job, "done", outcome)
        else:
            self._fail(outcome)

    def _done(self, key: str, status: Status) -> None:
        self.status[key] = status
        self._made[key] = next(self._steps)
        self._checked.add(key)
        for user in self._users[key]:
            lacks = self._lacks.get(user, set())
            lacks.discard(key)
            if not lacks and self.status[user] == "waiting":
                self._ready.add(user)

    def _lose(self, outcome: Outcome) -> None:
        """Note a loss and try the job again, unless it was lost too often."""
        key, where = outcome.key, outcome.where
        seconds = time.time() - where.began if where else 0.0
        loss = Loss(outcome.error, where.host if where else "", seconds)
        lost = self.losses.setdefault(key, [])
        lost.append(loss)
        if len(lost) <= self.retries:
            self._wait_again(key)
            self.view.lost(self.plan.jobs[key], loss, self.retries - len(lost))
        else:
            tries = f", {len(lost)} attempts" if len(lost) > 1 else ""
            self._fail(replace(outcome, error=f"{outcome.error}{tries}"))

    def _make_again(self, key: str, user: str) -> bool:
        """Let a job wait again whose artefact its user found damaged; False where that failed, or was done too often already.

        Of several users that found the same damage the first counts: the others began before it was made again.
        """
        if self.status[key] in ("failed", "blocked"):
            return False
        if self.status[key] not in _THERE or self._made.get(key, -1) > self._begun[user]:
            return True
        self._made_again[key] = self._made_again.get(key, 0) + 1
        if self._made_again[key] > max(1, self.retries):
            return False
        self.status[key] = "not needed"
        for other in self._users[key]:
            if self.status[other] == "waiting":
                self._lacks.setdefault(other, set()).add(key)
                self._ready.drop(other)
        self._require(key)
        return True

    def _wait_again(self, key: str) -> None:
        """Put a job that ran in vain back to those that wait."""
        self.status[key] = "not needed"
        self._require(key)

    def _fail(self, outcome: Outcome) -> None:
        self.status[outcome.key] = "failed"
        self.errors[outcome.key] = outcome
        self.view.ended(self.plan.jobs[outcome.key], "failed", outcome)
        self._block(outcome)

    def _block(self, outcome: Outcome) -> None:
        """Mark everything that needs a failed job as blocked by it, with its error."""
        stack = list(self._users[outcome.key])
        while stack:
            user = stack.pop()
            if self.status[user] == "waiting":
                self.status[user] = "blocked"
                self._ready.drop(user)
                self._elsewhere.pop(user, None)
                self.errors[user] = replace(outcome, key=user, cause=outcome.key)
                stack += self._users[user]


def _wanted(plan: Plan) -> Iterable[str]:
    """Yield the keys of the jobs that rows ask for."""
    for row in plan.rows:
        yield from (key for key in (row.train, row.synthesize, row.label, *row.fits) if key is not None)
