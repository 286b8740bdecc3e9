"""What a run says of itself: how it is, what happened, and what killed jobs had printed."""

import json
import threading
import time

import pytest

from harness.core.config.suite import Resources
from harness.core.run_folder import RunFolder
from harness.core.run_status import Machine
from harness.execution import tries
from harness.execution.executor import Stage
from harness.execution.monitor import LISTED, Monitor, Surroundings
from harness.execution.status import Statuses
from harness.execution.view import Loss
from harness.jobs.execute import Outcome, Where
from harness.jobs.job import Job

JOBS = {
    key: Job(key, kind, f"{kind} {key}", {}, {}, Resources(cpus=2, gpus=0.5))
    for key, kind in {"a": "fit", "b": "train", "c": "train"}.items()
}


class Clock:
    """Seconds since 1970, moved by hand."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(time, "time", lambda: made.now)
    return made


@pytest.fixture
def run(tmp_path, clock):
    """A monitor that has begun, its folder, and the statuses of its jobs; its thread sleeps."""
    made = _make(tmp_path / "r", JOBS)
    yield made
    made._close("done")


def _make(folder, jobs, **changes):
    folder.mkdir(parents=True)
    said = []
    around = Surroundings(
        **{
            "suite": "tiny", "executor": "ray", "jobs": jobs, "gpus": lambda job: job.resources.gpus,
            "seconds_left": lambda: 12.5, "warn": said.append, "live_log": lambda job: f"log of {job.title}\n",
            "beat_s": 3600.0, **changes,
        }
    )  # fmt: skip
    monitor = Monitor(around)
    monitor.said, monitor.folder = said, RunFolder(folder)
    monitor.states = Statuses(jobs)
    monitor.begin(monitor.folder, monitor.states, lambda: [Machine(host="n1", node="x", cpus=8.0, gpus=1.0)])
    return monitor


def where(began, pid=7):
    return Where("n1", "x", pid, "H100", began)


def start(monitor, key):
    monitor.states[key] = "running"
    monitor.started(JOBS[key])


def read(monitor):
    monitor._count()
    monitor.beat()
    return monitor.folder.status()


def test_the_status_says_what_runs_where_since_when(run, clock):
    start(run, "a")
    start(run, "b")
    clock.now = 1010.0
    run.update(run.states, {"a": Stage("fit", 3, 10, "step", where(1004.0), 1009.0)})
    status = read(run)
    assert (status.run, status.suite, status.state, status.started, status.seen) == ("r", "tiny", "running", 1000, 1010)
    assert status.counts == {"running": 2, "waiting": 1}
    assert status.by_kind == {"fit": {"running": 1}, "train": {"running": 1, "waiting": 1}}
    assert status.left_s == 12.5
    at_work, waits = status.running
    assert (at_work.title, at_work.stage, at_work.done, at_work.total) == ("fit a", "fit", 3, 10)
    assert (at_work.host, at_work.node, at_work.pid, at_work.device, at_work.since) == ("n1", "x", 7, "H100", 1010.0)
    assert (waits.title, waits.since, waits.host) == ("train b", None, "")
    assert run.folder.jobs == {"a": ("fit", "fit a"), "b": ("train", "train b"), "c": ("train", "train c")}


def test_what_the_run_waits_for_stands_in_its_status_until_it_goes_on(run):
    run.waits("fit a asks for 2 CPUs")
    assert read(run).waits == "fit a asks for 2 CPUs"
    run.waits("")
    assert read(run).waits == ""


def test_it_says_how_devices_are_used(run, clock):
    start(run, "a")
    run.update(run.states, {"a": Stage("fit", 0, 0, "", where(1000.0))})
    run.beat()
    clock.now = 1010.0
    run.ended(JOBS["a"], "done", Outcome("a", where=where(1000.0)))
    run.states["a"] = "done"
    start(run, "b")
    run.update(run.states, {"b": Stage("train", 0, 0, "", where(1010.0))})
    run.beat()
    clock.now = 1020.0
    use = read(run).use
    assert (use["CPU"].there, use["CPU"].in_use, use["GPU"].in_use) == (8.0, 2.0, 0.5)
    assert use["CPU"].share == pytest.approx(2 * 20 / (8 * 20))
    assert use["GPU"].share == pytest.approx(0.5)


def test_every_event_is_a_line(run, clock):
    start(run, "a")
    clock.now = 1005.0
    run.lost(JOBS["a"], Loss("the node died", "n1", 5.0), 1)
    start(run, "a")
    clock.now = 1009.0
    run.ended(JOBS["a"], "done", Outcome("a", where=where(1006.0)))
    start(run, "b")
    run.ended(JOBS["b"], "failed", Outcome("b", "broke", "Traceback", "printed", where=where(1009.0)))
    run.ended(JOBS["c"], "cached", Outcome("c"))
    events = list(run.folder.events())
    assert [e.event for e in events] == [
        "run", "machines", "started", "lost", "started", "ended", "started", "failed", "ended",
    ]  # fmt: skip
    lost, again, done, failed, cached = events[3], events[4], events[5], events[7], events[8]
    assert (lost.t, lost.attempt, lost.host, lost.why, lost.status) == (1005, 1, "n1", "the node died", "lost")
    assert (again.attempt, again.cpus, again.gpus, again.waiting) == (2, 2.0, 0.5, 2)
    assert (done.began, done.host, done.node, done.pid, done.device) == (1006, "n1", "x", 7, "H100")
    assert (failed.why, failed.status) == ("broke", "failed")
    assert (cached.status, cached.began) == ("cached", None)
    status = read(run)
    assert (status.num_losses, status.lost_s) == (1, 5.0)
    assert [one.title for one in status.losses] == ["fit a"]
    assert [(one.title, one.why) for one in status.failures] == [("train b", "broke")]


def test_the_log_of_a_killed_try_and_what_a_failed_one_left_can_be_read_at_once(run):
    start(run, "a")
    run.lost(JOBS["a"], Loss("the node died", "n1", 5.0), 1)
    start(run, "a")
    run.ended(JOBS["a"], "failed", Outcome("a", "killed", lost=True))
    start(run, "b")
    run.ended(JOBS["b"], "failed", Outcome("b", "broke", "Traceback", "printed"))
    left = {path.name: path.read_text() for path in run.folder.errors.iterdir()}
    assert left == {
        "fit_a.lost1.log": "log of fit a\n", "fit_a.log": "log of fit a\n", "fit_a.txt": "",
        "train_b.log": "printed", "train_b.txt": "Traceback",
    }  # fmt: skip


def test_a_quiet_job_is_warned_of_once_and_again_each_time_that_long(run, clock):
    start(run, "a")
    run.update(run.states, {"a": Stage("fit", 3, 10, "step", where(1000.0), 1000.0)})
    start(run, "b")
    run.beat()
    clock.now = 1000.0 + tries.QUIET_S - 1
    run.beat()
    assert run.said == []
    clock.now += 1
    run.beat()
    run.beat()
    assert run.said == [
        "warning: fit a: no sign of life for 10m 00s on n1, process 7; last seen in: fit 3/10 step",
        "warning: train b: submitted 10m 00s ago but not started; waiting for a free worker",
    ]
    assert read(run).running[0].quiet_s == tries.QUIET_S
    run.update(run.states, {"a": Stage("fit", 4, 10, "step", where(1000.0), 1600.0)})
    clock.now += tries.QUIET_S - 1
    run.beat()
    assert len(run.said) == 2
    clock.now += 1
    run.beat()
    assert len(run.said) == 3, "b again; a spoke"


def test_the_clock_of_another_machine_does_not_matter(run, clock):
    start(run, "a")
    clock.now = 1010.0
    run.ended(JOBS["a"], "done", Outcome("a", where=where(5.0)))
    start(run, "b")
    clock.now = 1020.0
    run.ended(JOBS["b"], "done", Outcome("b", where=where(9e9)))
    assert [e.began for e in run.folder.events() if e.event == "ended"] == [1000.0, 1020.0]


def test_a_try_does_not_take_over_the_report_of_the_one_before(run, clock):
    stale = {"a": Stage("fit", 3, 10, "step", where(1000.0), 1001.0)}
    start(run, "a")
    run.update(run.states, stale)
    clock.now = 1100.0
    run.lost(JOBS["a"], Loss("the node died", "", 100.0), 1)
    start(run, "a")
    run.update(run.states, stale)
    [job] = read(run).running
    assert (job.attempt, job.since, job.stage) == (2, None, "")


def test_the_end_is_said_at_once(tmp_path, clock):
    monitor = _make(tmp_path / "r", JOBS)
    with monitor.leaving("interrupted"):
        assert monitor.folder.status().state == "finishing"
    status = monitor.folder.status()
    assert (status.state, status.ended, status.running) == ("interrupted", 1000.0, [])


def test_an_error_while_files_are_written_is_a_failed_run(tmp_path):
    monitor = _make(tmp_path / "r", JOBS)
    with pytest.raises(RuntimeError, match="no page"), monitor.leaving("done"):
        raise RuntimeError("no page")
    assert monitor.folder.status().state == "failed"
    assert not monitor._thread.is_alive()


def test_it_gives_signs_of_life_while_nothing_happens(tmp_path):
    monitor = _make(tmp_path / "r", JOBS, beat_s=0.02)
    first = monitor.folder.status().seen
    until = time.monotonic() + 20
    while monitor.folder.status().seen == first and time.monotonic() < until:
        time.sleep(0.02)
    assert monitor.folder.status().seen > first
    monitor._close("done")


def test_nothing_that_goes_wrong_here_ends_a_run(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    uploads = []
    monitor = _make(tmp_path / "r", JOBS, live_log=refuse, upload=lambda path: (uploads.append(path.name), refuse()))
    monkeypatch.setattr(RunFolder, "write_status", refuse)
    monitor._machines, monitor._asked = refuse, 0.0
    start(monitor, "a")
    monitor.lost(JOBS["a"], Loss("the node died", "n1", 5.0), 1)
    with monitor.leaving("done"):
        pass
    assert uploads == ["jobs.json", "events.jsonl", "status.json"]


def test_before_it_begins_it_does_nothing(tmp_path):
    around = Surroundings("tiny", "ray", JOBS, lambda job: 0.0, lambda: None, lambda line: None, lambda job: "")
    monitor, before = Monitor(around), threading.active_count()
    monitor.started(JOBS["a"])
    monitor.ended(JOBS["a"], "done", Outcome("a"))
    with monitor.leaving("done"):
        pass
    assert threading.active_count() == before


def test_an_event_costs_the_same_for_few_jobs_and_for_many(tmp_path):
    """Of twenty thousand jobs that run the first are listed, and the others counted."""
    jobs = {f"{i:05d}": Job(f"{i:05d}", "train", f"train {i}", {}, {}, Resources()) for i in range(20_000)}
    monitor = _make(tmp_path / "r", jobs)
    begun = time.perf_counter()
    for job in jobs.values():
        monitor.states[job.key] = "running"
        monitor.update(monitor.states, {})
        monitor.started(job)
    assert (time.perf_counter() - begun) / len(jobs) < 0.002
    monitor.beat()
    status = monitor.folder.status()
    assert (len(status.running), status.more_running) == (LISTED, 20_000 - LISTED)
    assert monitor.folder.status_file.stat().st_size < 100_000
    begun = time.perf_counter()
    for job in jobs.values():
        monitor.ended(job, "done", Outcome(job.key, where=where(1.0)))
    assert (time.perf_counter() - begun) / len(jobs) < 0.002
    monitor._close("done")


def test_the_file_is_json_for_other_programs(run):
    assert json.loads(run.folder.status_file.read_text())["counts"] == {"waiting": 3}
