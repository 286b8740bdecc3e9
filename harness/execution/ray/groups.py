"""Which jobs are handed to a worker at once: trainings on a GPU that can be done as one (harness/jobs/together.py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from harness.core.config.protocol import Protocol
from harness.core.io import canonical_json
from harness.jobs.job import Job
from harness.students.sizes import FAMILIES
from harness.students.spec import parse
from harness.training.protocol_rules import why_alone

MOST = 16
"""Trainings as one at most: more gain little, and their memory adds up."""


def kind_of(job: Job) -> str:
    """Return a text that is equal for jobs which can be trained as one; empty for one that trains alone."""
    if job.kind != "train" or job.spec.get("ipc") is None or "redraw" in job.spec:
        return ""
    if parse(job.spec["student"]).family not in FAMILIES or why_alone(Protocol.model_validate(job.spec["protocol"])):
        return ""
    about = {name: job.spec[name] for name in ("student", "side", "ipc", "protocol")}
    return canonical_json(about | {"teacher": job.deps.get("teacher"), "cpus": job.resources.cpus})


class Groups:
    """Trainings that wait for others of their kind until the executor has handed out what it can.

    Args:
        kind: tells which jobs belong together; empty: a job is handed out alone.
    """

    def __init__(self, kind: Callable[[Job], str] = kind_of) -> None:
        self._kind_of = kind
        self._kinds: dict[str, str] = {}
        self._limit: dict[str, int] = {}
        self._waiting: list[list[Job]] = []
        self._alone: set[str] = set()

    def expect(self, jobs: Iterable[Job], num_gpus: int) -> None:
        """Choose how many go together, so that every share of a GPU gets some; before it, all go alone."""
        found: dict[str, list[Job]] = {}
        for job in jobs:
            if kind := self._kind_of(job):
                found.setdefault(kind, []).append(job)
        self._kinds = {job.key: kind for kind, alike in found.items() for job in alike}
        for kind, alike in found.items():
            places = max(1.0, num_gpus / (alike[0].resources.gpus or 1))
            self._limit[kind] = min(MOST, math.ceil(len(alike) / places))

    def _kind(self, job: Job) -> str:
        """Return the kind of a job that may go with others."""
        return "" if job.key in self._alone else self._kinds.get(job.key, "")

    def _open(self, job: Job) -> list[Job] | None:
        """Return the group that the job can join."""
        kind = self._kind(job)
        return next((g for g in self._waiting if kind == self._kind(g[0]) and len(g) < self._limit[kind]), None)

    def has_room(self, job: Job) -> bool:
        """Return whether a group waits that the job can join."""
        return bool(self._kind(job)) and self._open(job) is not None

    def add(self, job: Job) -> bool:
        """Let the job join a group, or open one; False where it goes alone."""
        if not (kind := self._kind(job)) or self._limit[kind] == 1:
            return False
        if (group := self._open(job)) is not None:
            group.append(job)
        else:
            self._waiting.append([job])
        return True

    def take(self) -> list[list[Job]]:
        """Return the groups; others can be opened then."""
        taken, self._waiting = self._waiting, []
        return taken

    def __len__(self) -> int:
        return len(self._waiting)

    def part(self, key: str) -> None:
        """Let a job that was lost go alone from now on."""
        self._alone.add(key)
