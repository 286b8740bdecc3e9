"""`harness status`: how a run is, at 80 columns, whoever asks and whatever became of its driver."""

import json
import time

import pytest

from harness.cli import status as status_module
from harness.cli.status import screen
from harness.core.run_status import RunStatus
from harness.core.store import Store
from harness.reporters.watch import Watched
from tests.helpers.made_run import make_record, make_run
from tests.helpers.made_status import KEYS, make_status, make_watched


def shown(now=1100.0, width=80, **changes):
    return screen(Watched("runs/r", make_status(**changes)), now, width, "r --store here").plain


def test_a_running_run_fits_a_terminal():
    assert shown().splitlines() == [
        "run r: running",
        "suite digits, driven by process 42 on elsewhere",
        f"started {clock(1000)}, 1m 40s ago; last sign of life 1 s ago; about 5m 00s left",
        "",
        "jobs     1 of 4 done, 2 running, 1 to do, 3 were in the store",
        "         fit 0/1, synthesize 1/1, train 0/2",
        "devices  4 of 16 CPUs in use, 25 % of the time, on 2 machines",
        "         1 of 2 GPUs in use, 50 % of the time, on 2 machines",
        "lost     1 attempt, 1m 00s; the last 20 s ago on node2: the node died",
        "",
        "running                                        doing               on        for",
        "fit minimax seed 0                             fit 30/100 step     node1  1m 35s",
        "attempt 2: train minimax ipc 10 set 0 convne…  waits for a worker           10 s",
    ]


def clock(at):
    """The time of a day, in 1970; without its date on the first one."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def test_a_driver_without_a_sign_of_life_is_said_to_be_gone():
    lines = shown(now=1200.0).splitlines()
    assert lines[0] == f"run r: not running: no sign of life since {clock(1099)}, 1m 41s ago"
    assert lines[2] == f"started {clock(1000)}; stopped unexpectedly: run the same command again to resume"
    assert "2 were running" in lines[4]
    assert "16 CPUs, worked 25 % of the time" in lines[6]
    assert not any("doing" in line for line in lines)


def test_what_a_run_waits_for_is_a_line_while_it_runs():
    assert "waits    fit a asks for 64 CPUs" in shown(waits="fit a asks for 64 CPUs").splitlines()
    assert "waits" not in shown(now=1200.0, waits="fit a asks for 64 CPUs")


def test_a_run_that_ended_says_when_and_where_it_lies():
    counts = {"done": 9, "failed": 1, "blocked": 2}
    failure = {"key": "a", "kind": "fit", "title": "fit dm", "at": 1.0, "why": "out of memory"}
    lines = shown(now=1e6, state="failed", ended=1090.0, running=[], counts=counts, failures=[failure]).splitlines()
    assert lines[0] == "run r: failed"
    assert lines[2].endswith("after 1m 30s")
    assert lines[3] == "in runs/r"
    assert "jobs     9 of 12 done, 1 failed, 2 blocked" in lines
    assert "fit dm: out of memory" in lines
    assert lines[-1] == "log of a job: harness logs r --store here 'fit dm'"


def test_a_quiet_job_is_seen():
    running = [make_status().running[0].model_dump() | {"quiet_s": 620.0, "seen": 480.0}]
    assert "no sign for 10m 20s" in shown(running=running)


def test_a_thousand_running_jobs_and_failures_fit_forty_lines():
    running = [make_status().running[0].model_dump() | {"title": f"train {'x' * i}"} for i in range(100)]
    failures = [{"key": "a", "kind": "fit", "title": f"fit {i}", "at": 1.0, "why": "y" * 900} for i in range(20)]
    lines = shown(running=running, more_running=900, failures=failures).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert "and 984 more" in lines


def test_texts_of_anybody_do_not_move_the_cursor():
    assert "\x1b" not in shown(host="\x1b[2Jevil")


def test_the_newest_run_is_the_one_that_gave_the_last_sign_of_life(tmp_path, cli):
    make_watched(tmp_path, "older")
    time.sleep(0.02)
    make_watched(tmp_path, "newer")
    time.sleep(0.02)
    (tmp_path / "runs" / "older" / "status.json").touch()
    code, out, _ = cli("status", "--store", tmp_path)
    assert (code, out.splitlines()[0].split(":")[0]) == (0, "run older")
    assert cli("status", tmp_path / "runs" / "newer", "--store", "elsewhere")[1].startswith("run newer")


@pytest.mark.parametrize("command", ["status", "trace"])
def test_an_unknown_run_and_an_empty_store_are_one_message(tmp_path, cli, command):
    code, _, err = cli(command, "--store", tmp_path)
    assert (code, "no run in" in err) == (2, True)
    make_watched(tmp_path, "tiny-1")
    code, _, err = cli(command, "tiny-2", "--store", tmp_path)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "no run 'tiny-2'" in err
    assert "tiny-1" in err


def test_a_status_that_cannot_be_read_is_one_message(tmp_path, cli):
    make_watched(tmp_path).status_file.write_text("{")
    code, _, err = cli("status", "r", "--store", tmp_path)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "status.json: cannot be read" in err


def test_json_is_one_object_with_all_of_it(tmp_path, cli):
    make_watched(tmp_path)
    code, out, _ = cli("status", "r", "--json", "--store", tmp_path)
    told = json.loads(out)
    assert (code, told["gone"], told["place"]) == (0, True, str(tmp_path / "runs" / "r"))
    assert RunStatus.model_validate(told) == make_status()
    assert cli("status", "--json", "--watch", "--store", tmp_path)[0] == 2


def test_watch_goes_on_until_the_run_ends(tmp_path, cli, monkeypatch):
    run = make_watched(tmp_path, seen=time.time())
    naps = []

    def end(seconds):
        naps.append(seconds)
        now = time.time()
        run.write_status(
            make_status(seen=now, **({} if len(naps) < 2 else {"state": "done", "ended": now, "running": []}))
        )

    monkeypatch.setattr(status_module.time, "sleep", end)
    code, out, _ = cli("status", "--watch", "--store", tmp_path)
    assert (code, naps) == (0, [2.0, 2.0])
    assert "run r: done" in out


def test_ctrl_c_stops_watching_and_not_more(tmp_path, cli, monkeypatch):
    make_watched(tmp_path, seen=time.time())
    monkeypatch.setattr(status_module.time, "sleep", lambda s: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli("status", "--watch", "--store", tmp_path)[0] == 0


def test_a_run_from_before_it_was_kept_tells_what_its_description_does(tmp_path, cli):
    make_run(tmp_path / "runs" / "old", [make_record()])
    code, out, _ = cli("status", "old", "--store", tmp_path)
    assert code == 0
    assert out.startswith("run old: done\nsuite imagewoof\n")
    assert "after 1h 00m" in out
    assert "jobs     1 of 1 done" in out


def test_a_run_whose_executor_starts_is_starting(tmp_path, cli):
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    make_run(tmp_path / "runs" / "new", [make_record()], status="running", started=now, ended=None, jobs={})
    assert cli("status", "--store", tmp_path)[1].startswith("run new: starting\n")


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A remote store with a run that a machine elsewhere drives."""
    import tempfile

    import fsspec

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    store = Store(f"memory://{tmp_path.name}")
    run = make_watched(tmp_path, seen=time.time())
    for path in run.path.iterdir():
        store.remote.put(path, f"runs/r/{path.name}")
    yield store
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_a_run_of_a_remote_store_is_read_through_it(remote, cli):
    for args in (("status",), ("status", "r")):
        code, out, _ = cli(*args, "--store", remote.uri)
        assert (code, out.splitlines()[0]) == (0, "run r: running")
    assert not remote.runs.exists(), "nothing is copied"
    code, _, err = cli("status", "nope", "--store", remote.uri)
    assert (code, "no run 'nope'" in err) == (2, True)
    assert cli("status", "../../x", "--store", remote.uri)[0] == 2


def test_the_log_of_a_job_elsewhere_says_where_it_lies(remote, cli):
    code, _, err = cli("logs", "r", KEYS["fit"][:6], "--store", remote.uri)
    assert (code, "runs on node1, process 11; its log lies on that machine" in err) == (2, True)
