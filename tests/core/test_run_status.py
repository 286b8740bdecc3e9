"""What a run says of itself is read with care: it may be torn, or come from anybody."""

import json
import os
import platform

import pytest

from harness.core.errors import UserError
from harness.core.run_folder import RunFolder
from tests.helpers.made_status import make_events, make_status, make_watched


@pytest.fixture
def run(tmp_path):
    return make_watched(tmp_path)


def test_what_was_written_is_read_as_it_was(run):
    assert run.status() == make_status()
    assert [event.event for event in run.events()][:3] == ["run", "machines", "started"]


def test_a_run_that_says_nothing_has_no_status_and_no_events(tmp_path):
    run = RunFolder(tmp_path)
    assert (run.status(), list(run.events()), run.jobs) == (None, [], {})


def test_a_torn_line_and_one_of_another_kind_are_left_out(run):
    with run.events_file.open("a") as file:
        file.write('{"t": 1.0, "event": "exploded"}\n[1]\n{"t": 1.0, "eve')
    assert len(list(run.events())) == 12


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": "splendid"}, "state"),
        ({"pid": -1}, "pid"),
        ({"seen": "now"}, "seen"),
        ({"running": [{"key": "../x"}]}, "running.0.key"),
        ({"counts": [1]}, "counts"),
    ],
)
def test_a_status_that_is_none_is_refused_with_its_field(run, change, told):
    run.status_file.write_text(json.dumps(make_status().model_dump() | change))
    with pytest.raises(UserError, match=rf"status.json: cannot be read: {told}"):
        run.status()


def test_texts_lose_what_a_terminal_would_obey(run):
    run.status_file.write_text(json.dumps(make_status().model_dump() | {"suite": "di\x1b[31mgits"}))
    assert run.status().suite == "digits"
    make_events(run.path, {"t": 1.0, "event": "failed", "key": "a", "title": "fit\x1b[2J x", "why": "b\x07"})
    [event] = run.events()
    assert (event.title, event.why) == ("fit x", "b")


@pytest.mark.parametrize("name", ["status.json", "events.jsonl", "jobs.json"])
def test_no_link_is_followed(run, name, tmp_path):
    (run.path / name).unlink()
    (tmp_path / "secret").write_text("{}")
    (run.path / name).symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="it is a symbolic link"):
        _ = (run.status(), list(run.events()), run.jobs)


def test_jobs_that_are_none_are_refused(run):
    run.jobs_file.write_text('{"a": ["fit"]}')
    with pytest.raises(UserError, match="expected kind and title of each job"):
        _ = run.jobs


@pytest.mark.parametrize(
    ("changes", "silent_s", "gone"),
    [
        ({}, 29, False),
        ({}, 31, True),
        ({"state": "finishing"}, 31, True),
        ({"state": "done"}, 1e6, False),
        ({"host": platform.node(), "pid": os.getpid()}, 29, False),
        ({"host": platform.node(), "pid": os.getpid()}, 31, True),
        ({"host": platform.node(), "pid": 2**22 + 1}, 7, True),
        # alive a moment ago, and no such process here: another machine or container has this one's name
        ({"host": platform.node(), "pid": 2**22 + 1}, 5, False),
        ({"host": platform.node(), "pid": 0}, 7, True),
    ],
)
def test_a_driver_without_a_sign_of_life_is_gone(changes, silent_s, gone):
    assert make_status(seen=1000.0, **changes).is_gone(1000.0 + silent_s) is gone
