"""What ran where and when in a run: the tries of its jobs, side by side in lanes, and what the machines offered.

In: events of a run. Out: slices of time. Times are seconds since the run's first event.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from harness.core.run_status import Event, Machine

ENDS = ("ended", "failed", "lost")
"""Events that end a try."""


@dataclass(frozen=True)
class Slice:
    """One try of a job, or its wait for a worker.

    Attributes:
        status: done, failed, lost, or "not ended" where the run stopped first.
        start, end: in seconds of the run.
        handed: when it was handed out.
        placed: whether it is known where it ran.
        lane: number among those of its device that ran at the same time, from 0.
    """

    key: str
    kind: str
    title: str
    attempt: int
    status: str
    start: float
    end: float
    handed: float
    placed: bool
    host: str = ""
    node: str = ""
    device: str = ""
    pid: int = 0
    cpus: float = 0.0
    gpus: float = 0.0
    why: str = ""
    lane: int = 0

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass
class Timeline:
    """A run from its first event to its last.

    Attributes:
        begun: of the first event, seconds since 1970.
        seconds: until the last one.
        slices: tries that began, by their beginning, each with its lane.
        waits: from when a try was handed out until it began, for those that waited.
        loads: (seconds, jobs that run, jobs that wait) after each event.
        offers: machine -> seconds for which it was there.
    """

    begun: float = 0.0
    seconds: float = 0.0
    slices: list[Slice] = field(default_factory=list)
    waits: list[Slice] = field(default_factory=list)
    loads: list[tuple[float, int, int]] = field(default_factory=list)
    offers: list[tuple[Machine, float]] = field(default_factory=list)


def read_timeline(events: Iterable[Event]) -> Timeline:
    """Return the timeline of a run; an empty one where it has no events."""
    told = list(events)
    if not told:
        return Timeline()
    begun, until = told[0].t, max(event.t for event in told)
    tries = list(_tries(told, begun, until))
    waits = [_wait(one) for one in tries if one.start - one.handed > 0.001 or not one.placed]
    return Timeline(
        begun,
        until - begun,
        in_lanes(one for one in tries if one.placed),
        in_lanes(waits),
        list(_loads(told, begun)),
        list(_offers(told, until)),
    )


def _wait(one: Slice) -> Slice:
    end = one.start if one.placed else one.end
    return replace(one, start=one.handed, end=max(one.handed, end), host="", node="", device="", pid=0)


def _tries(told: list[Event], begun: float, until: float) -> Iterator[Slice]:
    open_: dict[str, Event] = {}
    for event in told:
        if event.key is None:
            continue
        if event.event == "started":
            open_[event.key] = event
        elif event.event in ENDS and (first := open_.pop(event.key, None)):
            yield _slice(first, event, begun, event.t)
    for first in open_.values():
        yield _slice(first, first.model_copy(update={"status": "not ended", "event": "end"}), begun, until)


def _slice(first: Event, last: Event, begun: float, until: float) -> Slice:
    placed = last.began is not None
    start = min(max(last.began if last.began is not None else first.t, first.t), until)
    return Slice(
        first.key or "", first.kind, first.title, first.attempt, last.status or last.event, start - begun, until - begun,
        first.t - begun, placed, last.host, last.node, last.device, last.pid, first.cpus, first.gpus, last.why,
    )  # fmt: skip


def in_lanes(slices: Iterable[Slice]) -> list[Slice]:
    """Return slices by their beginning, each in a lane of its machine and device where it overlaps with none."""
    free: dict[tuple[str, str, str], list[tuple[float, int]]] = {}
    placed = []
    for one in sorted(slices, key=lambda one: (one.start, one.end)):
        lanes = free.setdefault((one.host, one.node, one.device), [])
        number = heapq.heappop(lanes)[1] if lanes and lanes[0][0] <= one.start else len(lanes)
        heapq.heappush(lanes, (one.end, number))
        placed.append(replace(one, lane=number))
    return placed


def _loads(told: list[Event], begun: float) -> Iterator[tuple[float, int, int]]:
    running: set[str] = set()
    for event in told:
        if event.key is not None:
            if event.event == "started":
                running.add(event.key)
            else:
                running.discard(event.key)
            yield event.t - begun, len(running), event.waiting


def _offers(told: list[Event], until: float) -> Iterator[tuple[Machine, float]]:
    """Yield each machine with the seconds for which it was there; until the last job had ended."""
    ended = [event.t for event in told if event.event == "end"]
    until = min(ended[0], until) if ended else until
    seconds: dict[tuple[str, str], float] = {}
    machines: dict[tuple[str, str], Machine] = {}
    changes = [event for event in told if event.event == "machines"]
    ends = [*(change.t for change in changes[1:]), until]
    for change, end in zip(changes, ends, strict=False):
        for machine in change.machines:
            name = (machine.host, machine.node)
            machines[name] = machine
            seconds[name] = seconds.get(name, 0.0) + max(0.0, end - change.t)
    yield from ((machine, seconds[name]) for name, machine in machines.items())
