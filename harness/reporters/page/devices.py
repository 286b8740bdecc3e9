"""What the page shows of the machines: in which share of the time their devices worked, and a picture of what ran when.

In: a timeline. Out: rows of a table, and numbers that the template draws as SVG.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from harness.core.text import duration
from harness.jobs.job import KINDS
from harness.reporters.timeline import Slice, Timeline

LANES = 64
"""Rows of the picture; of more the first are drawn."""

BARS = 4000
"""Jobs in the picture; of more the longest are drawn."""

WIDTH, HEIGHT = 1000, 14
"""Of the picture and of a row in it, in its own units."""


@dataclass(frozen=True)
class DeviceRow:
    """One kind of device of one machine.

    Attributes:
        machine: its name.
        device: such as "8 GPUs".
        jobs: tries of jobs that held one, the lost ones included.
        worked: time for which they were held, all together.
        share: of the time for which they were there, in percent; a dash where that is not known.
        lost: time of tries that were lost.
    """

    machine: str
    device: str
    jobs: int
    worked: str
    share: str
    lost: str


@dataclass(frozen=True)
class Bar:
    """One job in the picture, in its units."""

    x: float
    y: float
    width: float
    kind: str
    lost: bool
    text: str


@dataclass(frozen=True)
class Picture:
    """What ran when: a row for each job at a time on a device of a machine.

    Attributes:
        labels: (y, machine) where the rows of a machine begin.
        ticks: (x, time) of the axis.
        kinds: (kind of job, how many and their time all together), those that are not drawn included.
        left_out: jobs that are not.
    """

    width: int
    height: int
    bars: list[Bar]
    labels: list[tuple[float, str]]
    ticks: list[tuple[float, str]]
    kinds: list[tuple[str, str]]
    left_out: int


def device_rows(timeline: Timeline) -> list[DeviceRow]:
    """Return a row for the CPUs and one for the GPUs of each machine, by machine."""
    names = machine_names(timeline)
    tries: dict[tuple[str, str], list[Slice]] = defaultdict(list)
    for one in timeline.slices:
        tries[one.host, one.node].append(one)
    rows = []
    for machine, seconds in timeline.offers:
        place = (machine.host, machine.node)
        for number, device, held in ((machine.cpus, "CPU", "cpus"), (machine.gpus, "GPU", "gpus")):
            if number:
                at_work = [(one, getattr(one, held)) for one in tries[place] if getattr(one, held)]
                worked = sum(one.seconds * amount for one, amount in at_work)
                lost = sum(one.seconds * amount for one, amount in at_work if one.status == "lost")
                share = f"{100 * worked / (number * seconds):.0f} %" if seconds else "—"
                plural = "" if number == 1 else "s"
                rows.append(
                    DeviceRow(
                        names[place], f"{number:g} {device}{plural}", len(at_work), duration(worked), share,
                        duration(lost) if lost else "",
                    )
                )  # fmt: skip
    return rows


def machine_names(timeline: Timeline) -> dict[tuple[str, str], str]:
    """Return (host, node) -> a name: the host's, with the beginning of the node's where hosts repeat."""
    places = dict.fromkeys((m.host, m.node) for m, _ in timeline.offers)
    places |= dict.fromkeys((one.host, one.node) for one in timeline.slices)
    hosts = Counter(host for host, _ in places)
    return {(host, node): f"{host} {node[:8]}" if hosts[host] > 1 else host for host, node in places}


def draw(timeline: Timeline) -> Picture | None:
    """Return the picture; None where nothing ran for a measurable time."""
    if not timeline.slices or timeline.seconds <= 0:
        return None
    names = machine_names(timeline)
    lanes = sorted({_lane(one) for one in timeline.slices})[:LANES]
    tops = {lane: number * HEIGHT for number, lane in enumerate(lanes)}
    inside = [one for one in timeline.slices if _lane(one) in tops]
    shown = sorted(inside, key=lambda one: -one.seconds)[:BARS]
    scale = WIDTH / timeline.seconds
    bars = [
        Bar(round(one.start * scale, 2), tops[_lane(one)] + 1, round(max(one.seconds * scale, 0.5), 2), _kind(one),
            one.status in ("lost", "failed"), f"{one.title}: {one.status}, {duration(one.seconds)}")
        for one in sorted(shown, key=lambda one: one.start)
    ]  # fmt: skip
    firsts = {lane[:2]: tops[lane] for lane in reversed(lanes)}
    labels = sorted((float(top), names[place]) for place, top in firsts.items())
    by_kind = {kind: [one for one in timeline.slices if one.kind == kind] for kind in KINDS}
    kinds = [(kind, _sum(jobs)) for kind, jobs in by_kind.items() if jobs]
    return Picture(
        WIDTH, len(lanes) * HEIGHT, bars, labels, _ticks(timeline.seconds), kinds, len(timeline.slices) - len(shown)
    )


def _lane(one: Slice) -> tuple[str, str, str, int]:
    return one.host, one.node, one.device, one.lane


def _sum(jobs: list[Slice]) -> str:
    """Return such as "175 jobs, 5m 12s"."""
    return f"{len(jobs)} job{'s' * (len(jobs) > 1)}, {duration(sum(one.seconds for one in jobs))}"


def _kind(one: Slice) -> str:
    return one.kind if one.kind in KINDS else "other"


def _ticks(seconds: float) -> list[tuple[float, str]]:
    return [(WIDTH * part / 4, duration(seconds * part / 4) if part else "0") for part in range(5)]
