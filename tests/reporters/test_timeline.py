"""What ran where and when: tries side by side, lost ones and waits included, and how long machines were there."""

import json
import time

import pytest

from harness.core.run_status import Event
from harness.reporters.timeline import Slice, in_lanes, read_timeline
from harness.reporters.trace import chrome_trace
from tests.helpers.made_status import KEYS, make_events, make_watched, two_nodes


@pytest.fixture
def timeline():
    return read_timeline(Event.model_validate(event) for event in two_nodes())


def test_each_try_is_a_slice_where_it_ran(timeline):
    assert timeline.seconds == 100.0
    assert [(one.title[:3], one.host, one.attempt, one.status, one.start, one.end) for one in timeline.slices] == [
        ("fit", "node1", 1, "done", 0.0, 50.0),
        ("tra", "node2", 1, "lost", 10.0, 20.0),
        ("tra", "node1", 2, "failed", 55.0, 80.0),
    ]


def test_waits_are_shown_and_what_never_began_waits_to_the_end(timeline):
    assert [(one.key, one.status, one.start, one.end) for one in timeline.waits] == [
        (KEYS["t1"], "lost", 0.0, 10.0),
        (KEYS["t1"], "failed", 50.0, 55.0),
        (KEYS["t0"], "not ended", 80.0, 100.0),
    ]


def test_a_machine_counts_for_as_long_as_it_was_there(timeline):
    assert {machine.host: seconds for machine, seconds in timeline.offers} == {"node1": 100.0, "node2": 20.0}


def test_what_overlaps_lies_in_lanes_of_its_own():
    spans = [(0, 10), (1, 4), (2, 3), (3, 9), (10, 11)]
    slices = [Slice(str(i), "train", "", 1, "done", a, b, a, True) for i, (a, b) in enumerate(spans)]
    assert [one.lane for one in in_lanes(reversed(slices))] == [0, 1, 2, 2, 1]
    other = [Slice("x", "train", "", 1, "done", 0, 10, 0, True, host="other")]
    assert [one.lane for one in in_lanes([*slices[:1], *other])] == [0, 0]


def test_no_events_are_an_empty_timeline():
    assert read_timeline([]).slices == []


def test_twenty_thousand_jobs_are_read_in_seconds(tmp_path):
    run = make_watched(tmp_path)
    lines = []
    for i in range(20_000):
        job = {"key": f"k{i}", "kind": "train", "title": f"train {i}", "cpus": 1.0}
        lines.append({"t": 1000.0 + i, "event": "started", **job})
        lines.append({"t": 1004.0 + i, "event": "ended", **job, "status": "done", "began": 1000.5 + i, "host": "n"})
    make_events(run.path, *sorted(lines, key=lambda line: line["t"]))
    begun = time.perf_counter()
    trace = chrome_trace(read_timeline(run.events()), "r")
    assert time.perf_counter() - begun < 15
    assert sum(event["ph"] == "X" for event in trace["traceEvents"]) == 40_000


def test_the_trace_keeps_to_its_format(timeline):
    """https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: Trace Event Format."""
    trace = json.loads(json.dumps(chrome_trace(timeline, "r")))
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"}
    events = trace["traceEvents"]
    for event in events:
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ph"] in "XMC"
        if event["ph"] == "X":
            assert isinstance(event["ts"], int)
            assert event["ts"] >= 0
            assert event["dur"] >= 0
            assert set(event["args"]) >= {"key", "kind", "attempt", "status"}
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert sorted(processes.values()) == ["node1 1", "node2 2", "run r"]
    rows = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    complete = [e for e in events if e["ph"] == "X" and e["cat"] != "wait"]
    assert all((e["pid"], e["tid"]) in rows for e in events if e["ph"] == "X")
    assert [(e["ts"], e["dur"], processes[e["pid"]], rows[e["pid"], e["tid"]]) for e in complete] == [
        (0, 50_000_000, "node1 1", "H100 1"),
        (10_000_000, 10_000_000, "node2 2", "H100 1"),
        (55_000_000, 25_000_000, "node1 1", "H100 1"),
    ]
    lost = complete[1]
    assert lost["name"].endswith("(lost)")
    assert (lost["args"]["status"], lost["args"]["why"], lost["cname"]) == ("lost", "the node died", "bad")
    assert [e["args"] for e in events if e["ph"] == "C"][:2] == [
        {"running": 1, "waiting": 3}, {"running": 2, "waiting": 2},
    ]  # fmt: skip


def test_rows_of_a_machine_do_not_overlap(timeline):
    ends = {}
    for event in chrome_trace(timeline, "r")["traceEvents"]:
        if event["ph"] == "X":
            row = (event["pid"], event["tid"])
            assert event["ts"] >= ends.get(row, 0)
            ends[row] = event["ts"] + event["dur"]
