"""The jobs that can start now, the one that most others wait for first.

In: a plan's jobs. Out: one job after the other. What a job is worth is the length of the longest chain of jobs that ends
with a record and begins with it: while a prior is trained, students of other methods fill the other workers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter

from harness.jobs.job import KINDS, Job


def remaining(jobs: Mapping[str, Job], users: Mapping[str, list[str]]) -> dict[str, int]:
    """Return how many jobs the longest chain has that begins with each job, itself included.

    Args:
        jobs: by key, in any order.
        users: the keys of the jobs that need each one.
    """
    length: dict[str, int] = {}
    for key in TopologicalSorter({key: users[key] for key in jobs}).static_order():
        length[key] = 1 + max((length[user] for user in users[key]), default=0)
    return length


Rank = tuple[int, int, int]


class ReadyJobs:
    """A priority queue of keys: the longest remaining chain first, then the earlier kind, then the order of the plan.

    A job for which there is no room holds back all that come after it, so that small jobs do not keep a large one waiting
    for ever; only jobs for another accelerator, or for this machine, go on.
    """

    def __init__(self, jobs: Mapping[str, Job], users: Mapping[str, list[str]]) -> None:
        self._jobs = jobs
        chain = remaining(jobs, users)
        self._rank: dict[str, Rank] = {
            key: (-chain[key], KINDS.index(job.kind), place) for place, (key, job) in enumerate(jobs.items())
        }
        self._lanes: dict[str, list[tuple[Rank, str]]] = {}
        self._waiting: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: str) -> None:
        """Put a job in its place."""
        if key not in self._waiting:
            self._waiting.add(key)
            heapq.heappush(self._lanes.setdefault(_lane(self._jobs[key]), []), (self._rank[key], key))

    def drop(self, key: str) -> None:
        """Forget a job that cannot start after all."""
        self._waiting.discard(key)

    def sort(self, keys: Iterable[str]) -> list[str]:
        """Return keys in the order in which they would come."""
        return sorted(keys, key=self._rank.__getitem__)

    def take(self, has_room: Callable[[Job], bool]) -> str | None:
        """Return the first job for which there is room, which then waits no longer; None: there is none."""
        heads = sorted((head, lane) for lane, heap in self._lanes.items() if (head := self._head(heap)))
        for (_, key), lane in heads:
            if has_room(self._jobs[key]):
                heapq.heappop(self._lanes[lane])
                self._waiting.discard(key)
                return key
        return None

    def _head(self, heap: list[tuple[Rank, str]]) -> tuple[Rank, str] | None:
        while heap and heap[0][1] not in self._waiting:
            heapq.heappop(heap)
        return heap[0] if heap else None


def _lane(job: Job) -> str:
    return "this machine" if job.runs_on_driver else job.resources.accelerator or ""
