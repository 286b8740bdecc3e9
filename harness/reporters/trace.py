"""A run as a trace that ui.perfetto.dev and chrome://tracing show: a process for each machine, a row for each job at a time.

In: a timeline. Out: the JSON object of the Trace Event Format; times in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.reporters.timeline import Slice, Timeline

_RUN = 1
"""Number of the process that shows the whole run: how many jobs run and wait, and which waits were long."""

_COLOURS = {"failed": "terrible", "lost": "bad", "not ended": "grey"}
"""Names of Chrome's colours."""


def chrome_trace(timeline: Timeline, run: str) -> dict[str, Any]:
    """Return the trace of a run."""
    return {
        "displayTimeUnit": "ms",
        "otherData": {"run": run, "begun": timeline.begun},
        "traceEvents": list(_events(timeline, run)),
    }


def _events(timeline: Timeline, run: str) -> Iterator[dict[str, Any]]:
    yield _named("process_name", _RUN, 0, f"run {run}")
    for at, running, waiting in timeline.loads:
        args = {"running": running, "waiting": waiting}
        yield {"name": "jobs", "ph": "C", "pid": _RUN, "tid": 0, "ts": _us(at), "args": args}
    for lane in sorted({one.lane for one in timeline.waits}):
        yield _named("thread_name", _RUN, lane + 1, "waits for a worker")
    for one in timeline.waits:
        yield _complete(one, _RUN, one.lane + 1, f"wait: {one.title}", "wait")
    numbers: dict[tuple[str, str], int] = {}
    rows: dict[tuple[str, str, str, int], int] = {}
    for one in timeline.slices:
        place = (one.host, one.node)
        if place not in numbers:
            numbers[place] = len(numbers) + _RUN + 1
            yield _named("process_name", numbers[place], 0, " ".join(filter(None, (one.host, one.node[:8]))))
        row = (*place, one.device, one.lane)
        if row not in rows:
            rows[row] = sum(known[:2] == place for known in rows) + 1
            yield _named("thread_name", numbers[place], rows[row], f"{one.device} {one.lane + 1}".strip())
        yield _complete(one, numbers[place], rows[row], one.title, one.kind)


def _named(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _complete(one: Slice, pid: int, tid: int, name: str, category: str) -> dict[str, Any]:
    args = {"key": one.key, "kind": one.kind, "attempt": one.attempt, "status": one.status, "pid": one.pid}
    if one.why:
        args["why"] = one.why
    lost = " (lost)" if one.status == "lost" and category != "wait" else ""
    event: dict[str, Any] = {
        "name": f"{name}{lost}", "cat": category, "ph": "X", "ts": _us(one.start), "dur": _us(one.end) - _us(one.start),
        "pid": pid, "tid": tid, "args": args,
    }  # fmt: skip
    return event | ({"cname": _COLOURS[one.status]} if one.status in _COLOURS else {})


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
