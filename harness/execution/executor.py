"""What the scheduler asks of an executor: the place where jobs run. `register_executor` adds one."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from typing import Protocol

from harness.core.environment import device_name
from harness.core.errors import UserError
from harness.core.run_status import Machine
from harness.jobs.execute import Outcome, Where
from harness.jobs.job import Job


class ExecutorLost(UserError):
    """The place where jobs run is gone; what was finished is kept."""


@dataclass(frozen=True)
class Stage:
    """What a running job is doing now.

    Attributes:
        name: of the stage, for people.
        done: units that are done.
        total: units in all; 0: not known.
        unit: as in "step".
        where: where it runs; None where that is not known.
        seen: when it last gave a sign of life, seconds since 1970.
    """

    name: str
    done: int
    total: int
    unit: str
    where: Where | None = None
    seen: float = 0.0


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

    def cancel(self, key: str, reason: str) -> bool:
        """Take a running job from its worker, so that `wait` returns it as lost for `reason`; False where that cannot be."""

    def waits_for(self) -> str:
        """Return, in one line, what a job waits for that was submitted and cannot begin; empty where none does."""

    def stages(self) -> dict[str, Stage]:
        """Return what each running job is doing, by key."""

    def machines(self) -> list[Machine]:
        """Return the machines that jobs may run on now; it may be called from another thread."""

    def stop(self) -> None:
        """Give everything back; running jobs are abandoned."""


def here(device: str, node: str = "") -> Where:
    """Return where this process is, for a job that begins now.

    Args:
        device: "cpu" or "cuda".
        node: the executor's name of this machine.
    """
    return Where(platform.node(), node, os.getpid(), device_name(device), time.time())
