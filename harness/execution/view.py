"""What is told of a run while it runs; a view shows it, or writes it down. It changes nothing and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.execution.executor import Stage
from harness.execution.status import Status, Statuses
from harness.jobs.execute import Outcome
from harness.jobs.job import Job


@dataclass(frozen=True)
class Loss:
    """A try of a job that the system ended: its worker or node died, or memory ran out.

    Attributes:
        reason: one line.
        host: the machine; empty where the job had not begun.
        seconds: from its beginning until the loss was noticed; 0 where it had not begun.
    """

    reason: str
    host: str
    seconds: float


class View:
    """Each call may do nothing."""

    def update(self, status: Statuses, stages: Mapping[str, Stage]) -> None:
        """How all jobs stand, and what the running ones do; several times a second."""

    def note(self, stages: Mapping[str, Stage]) -> None:
        """What a job in this process reports, at each report."""

    def started(self, job: Job) -> None:
        """A job was handed to the executor."""

    def ended(self, job: Job, status: Status, outcome: Outcome) -> None:
        """A job is done, failed, or was done by another run ("cached")."""

    def lost(self, job: Job, loss: Loss, tries_left: int) -> None:
        """A job was lost and is tried again."""

    def waits(self, text: str) -> None:
        """A job that was handed over cannot begin, in one line; empty: it can again."""


class Views(View):
    """Several views as one."""

    def __init__(self, *views: View) -> None:
        self.views = views

    def update(self, status: Statuses, stages: Mapping[str, Stage]) -> None:
        """Tell each."""
        for view in self.views:
            view.update(status, stages)

    def note(self, stages: Mapping[str, Stage]) -> None:
        """Tell each."""
        for view in self.views:
            view.note(stages)

    def started(self, job: Job) -> None:
        """Tell each."""
        for view in self.views:
            view.started(job)

    def ended(self, job: Job, status: Status, outcome: Outcome) -> None:
        """Tell each."""
        for view in self.views:
            view.ended(job, status, outcome)

    def lost(self, job: Job, loss: Loss, tries_left: int) -> None:
        """Tell each."""
        for view in self.views:
            view.lost(job, loss, tries_left)

    def waits(self, text: str) -> None:
        """Tell each."""
        for view in self.views:
            view.waits(text)
