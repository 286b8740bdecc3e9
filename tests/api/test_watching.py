"""A run can be watched while it runs, after it ended, and after it was killed."""

import json
import os
import signal
import threading
import time

import pytest

import harness
from harness.api import watching
from harness.core.errors import UserError
from harness.core.run_folder import RunFolder
from tests.helpers.started import start

PATIENT = """
import time
from pathlib import Path
from harness import DistilledSet, Method, register_method

@register_method("patient")
class Patient(Method):
    title = "Patient"

    def fit(self, task):
        print("the fit has begun")
        with task.progress(10, "step") as told:
            told(3)
            end = time.monotonic() + 120
            while not Path("GO_ON").exists() and time.monotonic() < end:
                time.sleep(0.05)
        return {"seen": 1}

    def synthesize(self, task, state, ipc):
        import torch
        return DistilledSet({c.id: torch.rand(ipc, 3, 16, 16) for c in task.classes})

@register_method("breaks")
class Breaks(Method):
    title = "Breaks"

    def synthesize(self, task, state, ipc):
        print("it cracks")
        raise RuntimeError("broken")
"""


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "patient.py"
    path.write_text(PATIENT.replace("GO_ON", str(tmp_path / "go")))
    return path


@pytest.fixture
def fields(tiny_suite, tmp_path, plugin):
    return {
        "methods": ["breaks", "patient"], "suite": tiny_suite, "ipc": [1], "executor": "local", "store": tmp_path / "store",
        "name": "r", "plugins": [plugin],
    }  # fmt: skip


def until(true, seconds=60.0):
    """Wait until something is true and return it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found


def test_a_run_is_watched_while_it_runs_and_after(fields, tmp_path, cli, monkeypatch):
    """Two look on: one while a fit runs in this process, one at the end."""
    monkeypatch.setattr(watching, "BEAT_S", 0.05)
    folder, seen = RunFolder(tmp_path / "store" / "runs" / "r"), []

    def look(stages):
        """Called at each report of the fit: wait for the next sign of life, then let the fit go on."""
        if any((stage.name, stage.done) == ("fit", 3) for stage in stages.values()):
            seen.append(until(lambda: [j for j in folder.status().running if (j.stage, j.done) == ("fit", 3)]))
            seen.append(next(tmp_path.glob("store/store/partial/*/log-*.txt")).read_text())
            (tmp_path / "go").touch()

    note = watching.Monitor.note
    monkeypatch.setattr(watching.Monitor, "note", lambda self, stages: (note(self, stages), look(stages))[0])
    harness.run(**fields)
    [running], live = seen
    assert (running.title, running.total, running.unit, running.pid) == ("fit patient seed 0", 10, "step", os.getpid())
    assert live.startswith("fit patient seed 0\nstarted ")
    assert "the fit has begun\n" in live

    status = folder.status()
    assert (status.run, status.suite, status.state, status.running) == ("r", "tiny", "failed", [])
    assert status.counts == {"done": 3, "failed": 1, "blocked": 1}
    assert [one.why for one in status.failures] == ["RuntimeError: broken"]
    assert 0 < status.use["CPU"].share <= 1
    ended = [event for event in folder.events() if event.event in ("ended", "failed")]
    assert {event.title.split()[0]: event.status for event in ended} == {
        "synthesize": "done", "fit": "done", "train": "done",
    }  # fmt: skip
    assert all(event.host and event.began for event in ended)

    code, out, _ = cli("status", "r", "--store", tmp_path / "store")
    assert (code, out.splitlines()[0]) == (0, "run r: failed")
    for job, told in (("fit patient", "the fit has begun\n"), ("synthesize breaks", "it cracks\n")):
        code, out, _ = cli("logs", "r", job, "--store", tmp_path / "store")
        assert (code, told in out) == (0, True)
    code, out, _ = cli("trace", "r", "--store", tmp_path / "store", "--to", tmp_path / "t.json")
    assert (code, "4 jobs" in out) == (0, True)
    assert sum(
        e["ph"] == "X" and e["cat"] == "fit" for e in json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    )
    assert "Device utilisation" in folder.page.read_text()
    assert list((tmp_path / "store" / "store" / "partial").iterdir()) == [], "no log is left that is kept elsewhere"


def test_a_run_with_nothing_to_do_says_that_it_is_done(fields, tmp_path, cli):
    given = fields | {"methods": ["random_real"], "plugins": []}
    harness.run(**given)
    again = RunFolder(harness.run(**given | {"name": "again"}).folder)
    assert again.status().state == "done"
    assert again.status().counts == {"cached": 2}
    code, _, err = cli("trace", "again", "--store", tmp_path / "store")
    assert (code, "has no jobs to show" in err) == (2, True)
    assert cli("logs", "again", "train", "--store", tmp_path / "store")[0] == 0, "that of the run that made it"


def test_the_heartbeat_ends_with_the_run(fields):
    harness.run(**fields | {"methods": ["random_real"], "plugins": []})
    assert "harness-monitor" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan"])
def test_a_wrong_number_of_quiet_seconds_is_refused_before_anything_is_written(fields, tmp_path, monkeypatch, value):
    monkeypatch.setenv("HARNESS_QUIET_S", value)
    with pytest.raises(UserError, match="HARNESS_QUIET_S"):
        harness.run(**fields)
    assert not (tmp_path / "store").exists()


def test_a_limit_of_time_is_refused_where_jobs_cannot_be_ended(fields, tmp_path, cli):
    with pytest.raises(UserError, match="--job-timeout needs --executor ray"):
        harness.run(**fields, job_timeout="2h")
    code, _, err = cli("run", "--job-timeout", "soon", "--store", tmp_path / "store")
    assert (code, "'soon' is not a duration; expected seconds, or e.g. 600s, 90m, 2h" in err) == (2, True)
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
@pytest.mark.drill
def test_a_killed_run_is_said_to_be_gone_and_what_its_job_printed_is_kept(fields, tmp_path, cli):
    args = [
        "run", "--suite", fields["suite"], "--methods", "patient", "--ipc", "1", "--executor", "local", "--name", "r",
        "--store", fields["store"], "--plugin", fields["plugins"][0],
    ]  # fmt: skip
    process = start(tmp_path / "out", *args)
    folder = RunFolder(tmp_path / "store" / "runs" / "r")
    until(lambda: folder.status_file.exists() and any(j.stage == "fit" for j in folder.status().running), 120)
    code, out, _ = cli("status", "--store", fields["store"])
    assert (code, out.splitlines()[0]) == (0, "run r: running")
    assert "fit patient seed 0" in out
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    gone = "run r: not running: no sign of life since"
    until(lambda: cli("status", "--store", fields["store"])[1].startswith(gone), 20)
    code, out, _ = cli("logs", "r", "fit", "--store", fields["store"])
    assert (code, "the fit has begun\n" in out) == (0, True)
