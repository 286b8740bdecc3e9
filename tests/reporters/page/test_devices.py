"""The page says in which share of the time devices worked, and draws what ran when."""

import re

import pytest

from harness.core.run_status import Event
from harness.reporters.page import devices
from harness.reporters.page.devices import device_rows, draw
from harness.reporters.page.page import write_page
from harness.reporters.timeline import Timeline, read_timeline
from tests.helpers.made_status import make_events, make_watched, two_nodes


@pytest.fixture
def timeline():
    return read_timeline(Event.model_validate(event) for event in two_nodes())


def test_the_share_is_what_jobs_held_of_what_was_there(timeline):
    rows = {(row.machine, row.device): row for row in device_rows(timeline)}
    gpu, cpu = rows["node1", "1 GPU"], rows["node1", "4 CPUs"]
    assert (gpu.share, gpu.worked, gpu.jobs, gpu.lost) == ("75 %", "1m 15s", 2, "")
    assert cpu.share == "38 %", "two of four, for 75 of 100 s"
    lost = rows["node2", "1 GPU"]
    assert (lost.share, lost.worked, lost.lost) == ("50 %", "10.0 s", "10.0 s")


def test_the_picture_has_a_bar_for_each_try(timeline):
    picture = draw(timeline)
    assert [(bar.x, bar.width, bar.kind, bar.lost) for bar in picture.bars] == [
        (0.0, 500.0, "fit", False), (100.0, 100.0, "train", True), (550.0, 250.0, "train", True),
    ]  # fmt: skip
    assert [name for _, name in picture.labels] == ["node1", "node2"]
    assert picture.height == 2 * devices.HEIGHT
    assert (picture.kinds, picture.left_out) == ([("fit", "1 job, 50.0 s"), ("train", "2 jobs, 35.0 s")], 0)


def test_of_very_many_jobs_the_longest_are_drawn(timeline, monkeypatch):
    monkeypatch.setattr(devices, "BARS", 2)
    picture = draw(timeline)
    assert [bar.width for bar in picture.bars] == [500.0, 250.0]
    assert picture.left_out == 1


def test_a_run_without_events_has_no_such_section(tmp_path):
    assert (device_rows(Timeline()), draw(Timeline())) == ([], None)
    run = make_watched(tmp_path)
    make_events(run.path)
    assert "Device utilisation" not in write_page(run.path, {}).read_text()


def test_the_page_shows_them_and_escapes_hostile_titles(tmp_path):
    evil = "<script>alert(1)</script>"
    events = [event | ({"title": evil, "host": evil} if "title" in event else {}) for event in two_nodes()]
    page = write_page(make_watched(tmp_path, events=events).path, {}).read_text()
    assert "Device utilisation" in page
    assert evil not in page
    assert len(re.findall(r"<rect class=", page)) == 3
    assert not re.search(r"<(?:svg|rect|text|line)[^>]* style=", page), "the page's policy allows no inline style"
