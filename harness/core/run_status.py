"""What a run says of itself while it runs: status.json, written anew every few seconds, and a line of events.jsonl for each
thing that happens.

In: JSON of anybody. Out: checked values. Times are seconds since 1970; kinds and states of jobs are those of a plan.
"""

from __future__ import annotations

import os
import platform
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Words = Annotated[str, Field(max_length=4000)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}$")]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Amount = Annotated[float, Field(ge=0, le=1e9)]
State = Literal["running", "finishing", "done", "failed", "interrupted"]

SILENT_S = 30.0
"""A driver that gave no sign of life for so long is gone: it gives one every two seconds, of a remote store every ten."""

_JUST_NOW_S = 6.0
"""A sign of life that a process gave which is not here: another machine, or container, has the same name."""


class _Known(BaseModel):
    """Kinds are strict; what is not named is left out."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class Machine(_Known):
    """What one machine offers to jobs."""

    host: Words
    node: Words = Field("", description="the executor's name of it; empty where there is one machine only")
    cpus: Amount = 0.0
    gpus: Amount = 0.0


class RunningJob(_Known):
    """A job that was handed out."""

    key: Key
    kind: Words
    title: Words
    attempt: Count = 1
    handed: Seconds
    since: Seconds | None = Field(None, description="when it began; none: it waits for a worker")
    seen: Seconds | None = Field(None, description="when it last gave a sign of life")
    quiet_s: Seconds | None = Field(None, description="how long it has given none, where that is too long")
    stage: Words = ""
    done: Count = 0
    total: Count = 0
    unit: Words = ""
    host: Words = ""
    node: Words = ""
    pid: Count = 0
    device: Words = ""
    cpus: Amount = 0.0
    gpus: Amount = 0.0


class EndedTry(_Known):
    """A job that failed, or a try of one that the system took away."""

    key: Key
    kind: Words
    title: Words
    at: Seconds
    why: Words
    host: Words = ""
    seconds: Seconds = 0.0


class Use(_Known):
    """How one kind of device is used, all machines together."""

    there: Amount = 0.0
    in_use: Amount = 0.0
    share: float | None = Field(
        None, ge=0, le=1e6, description="of the time so far in which they worked for jobs, 0 to 1"
    )


class RunStatus(_Known):
    """How a run is."""

    run: Words
    suite: Words
    state: State
    executor: Words = ""
    host: Words = Field(description="machine of the driver, the process of `harness run`")
    pid: Count
    started: Seconds
    seen: Seconds = Field(description="last sign of life of the driver")
    ended: Seconds | None = None
    counts: dict[str, Count] = Field({}, description="jobs by state")
    by_kind: dict[str, dict[str, Count]] = Field({}, description="kind of job -> jobs by state")
    left_s: Seconds | None = Field(None, description="seconds left, estimated; none: not known yet")
    running: list[RunningJob] = Field([], max_length=1000)
    more_running: Count = Field(0, description="running jobs that are not listed")
    failures: list[EndedTry] = Field([], max_length=1000, description="the last")
    losses: list[EndedTry] = Field([], max_length=1000, description="the last")
    waits: Words = Field("", description="what the run waits for, where a job cannot begin")
    num_losses: Count = 0
    lost_s: Seconds = 0.0
    use: dict[str, Use] = Field({}, description="CPU, GPU -> how they are used")
    machines: list[Machine] = Field([], max_length=10_000)

    def is_gone(self, now: float) -> bool:
        """Return whether the driver has ended without a word.

        Args:
            now: seconds since 1970.
        """
        if self.state not in ("running", "finishing"):
            return False
        silent = now - self.seen
        here = self.host == platform.node() and not is_alive(self.pid)
        return silent > (_JUST_NOW_S if here else SILENT_S)


class Event(_Known):
    """One thing that happened: a line of events.jsonl."""

    t: Seconds
    event: Literal["run", "machines", "started", "ended", "failed", "lost", "end"]
    key: Key | None = None
    kind: Words = ""
    title: Words = ""
    attempt: Count = 1
    status: Words = ""
    why: Words = ""
    began: Seconds | None = Field(
        None, description="of a job that ended: when it began; none: it never did, or nobody saw"
    )
    host: Words = ""
    node: Words = ""
    pid: Count = 0
    device: Words = ""
    cpus: Amount = 0.0
    gpus: Amount = 0.0
    waiting: Count = Field(0, description="jobs that waited after it")
    machines: list[Machine] = Field([], max_length=10_000)


_EVENT = TypeAdapter(Event)


def parse_event(line: str) -> Event | None:
    """Return what a line says; None for one that is torn or none at all."""
    try:
        return _EVENT.validate_json(line)
    except ValidationError:
        return None


def parse_status(value: Any) -> RunStatus | str:
    """Return how a run is, or why that cannot be read."""
    try:
        return RunStatus.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole file'}: {first['msg']}"


def is_alive(pid: int) -> bool:
    """Return whether there is such a process on this machine, whoever it belongs to."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return pid > 0
