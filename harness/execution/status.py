"""The state of each job of a run, counted as it changes: progress costs the same for 500 jobs and for 50,000."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from harness.jobs.job import Job

Status = Literal["waiting", "running", "done", "cached", "not needed", "failed", "blocked"]
"""`cached`: the store had it. `not needed`: the store lacks it, and nothing that will run needs it."""


class Statuses(dict[str, Status]):
    """State by job key, for all jobs of a plan. Change it with `statuses[key] = state` only: that keeps the counts.

    Args:
        jobs: by key.
        states: where the jobs stand; one that is not named waits.

    Attributes:
        counts: number of jobs in each state.
        counts_by_kind: number of jobs of each (kind, state).
        running: keys of the running jobs, in the order in which they began.
    """

    def __init__(self, jobs: Mapping[str, Job], states: Mapping[str, Status] | None = None) -> None:
        super().__init__()
        self._jobs = jobs
        self.counts: Counter[Status] = Counter()
        self.counts_by_kind: Counter[tuple[str, Status]] = Counter()
        self.running: dict[str, None] = {}
        for key in jobs:
            self[key] = (states or {}).get(key, "waiting")

    def __setitem__(self, key: str, state: Status) -> None:
        before = self.get(key)
        if before == state:
            return
        kind = self._jobs[key].kind
        if before is not None:
            self.counts[before] -= 1
            self.counts_by_kind[kind, before] -= 1
        self.counts[state] += 1
        self.counts_by_kind[kind, state] += 1
        if state == "running":
            self.running[key] = None
        else:
            self.running.pop(key, None)
        super().__setitem__(key, state)

    def to_come(self) -> Counter[str]:
        """Return the number of jobs of each kind that wait or run; kinds without one are left out."""
        left: Counter[str] = Counter()
        for (kind, state), number in self.counts_by_kind.items():
            if state in ("waiting", "running") and number:
                left[kind] += number
        return left
