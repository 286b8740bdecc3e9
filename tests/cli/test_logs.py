"""`harness logs`: what a job printed, by title or key, while it runs and after."""

import threading
import time

import pytest

from harness.cli import logs as logs_module
from harness.core.store import Store
from tests.helpers.made_status import JOBS, KEYS, make_watched


@pytest.fixture
def run(tmp_path):
    return make_watched(tmp_path, seen=time.time())


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def live(store, name="fit", text="fit minimax seed 0\nstarted now\n\nstep 1\n"):
    path = store.scratch(KEYS[name]) / "log-host-1.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("job", ["fit minimax seed 0", "fit mini", "FIT", KEYS["fit"], KEYS["fit"][:4]])
def test_a_running_job_is_found_by_title_part_and_key(run, store, cli, job):
    live(store, text="step 1\n\x1b[31mstep 2\n")
    code, out, _ = cli("logs", "r", job, "--store", store.root)
    assert (code, out) == (0, "step 1\nstep 2\n")


def test_an_unknown_or_ambiguous_job_is_one_message_with_the_candidates(run, store, cli):
    code, _, err = cli("logs", "r", "train", "--store", store.root)
    assert code == 2
    assert "2 jobs of run r match 'train'" in err
    assert all(f"{KEYS[t][:12]}  {JOBS[KEYS[t]][1]}" in err for t in ("t0", "t1"))
    code, _, err = cli("logs", "r", "fit dm", "--store", store.root)
    assert code == 2
    assert "no job 'fit dm' in run r, which has 4 jobs" in err
    assert cli("logs", "nope", "fit", "--store", store.root)[0] == 2


def test_the_log_of_a_failed_job_and_those_of_its_lost_tries(run, store, cli):
    title = JOBS[KEYS["t1"]][1]
    run.write_error(title, "Traceback", "it broke\n")
    run.write_log(title, "it was killed\n", ".lost1.log")
    code, out, err = cli("logs", "r", title, "--store", store.root)
    assert (code, out) == (0, "it broke\n")
    assert "an attempt that was lost" in err
    assert ".lost1.log" in err


def test_the_log_beside_the_results_of_a_job_that_is_done(run, store, cli):
    def fill(folder):
        (folder / "log.txt").write_text("drew ten images\n")
        return {}

    store.write("synthesize", KEYS["set"], fill)
    assert cli("logs", "r", "synth", "--store", store.root)[1] == "drew ten images\n"


def test_a_killed_job_of_a_killed_run_keeps_what_it_printed(run, store, cli):
    live(store, "t1", "the last words\n")
    assert cli("logs", "r", KEYS["t1"], "--store", store.root)[1] == "the last words\n"


def test_a_job_without_a_log_says_why(run, store, cli):
    code, _, err = cli("logs", "r", KEYS["t0"], "--store", store.root)
    assert (code, "waits for a worker; it has no log yet" in err) == (2, True)
    code, _, err = cli("logs", "r", KEYS["t1"], "--store", store.root)
    assert (code, "it has not begun, could not run" in err) == (2, True)


def test_a_run_from_before_jobs_were_kept_names_the_other_command(run, store, cli):
    run.jobs_file.unlink()
    code, _, err = cli("logs", "r", "fit", "--store", store.root)
    assert (code, "`harness show log KEY`" in err) == (2, True)


def test_a_log_is_followed_to_its_end(run, store, cli, monkeypatch):
    path = live(store)

    def add(text):
        with path.open("a") as file:
            file.write(text)

    steps = [
        lambda: add("step 2\nhalf of"),
        lambda: add(" a line\n"),
        lambda: path.write_text("anew\n"),
        lambda: add("x" * 100 + "\n"),
        lambda: (add("ended\n"), path.unlink()),
    ]
    monkeypatch.setattr(logs_module.time, "sleep", lambda s: steps.pop(0)())
    code, out, _ = cli("logs", "r", "fit", "--follow", "--store", store.root)
    assert code == 0
    assert out.startswith("fit minimax seed 0\nstarted now\n\nstep 1\nstep 2\nhalf of a line\n")
    assert out.endswith("x\nended\n")
    assert not steps


def test_following_ends_when_the_run_says_that_the_job_has(run, store, cli, monkeypatch):
    live(store)
    monkeypatch.setattr(logs_module, "ASK_S", 0.05)
    thread = threading.Timer(0.5, lambda: run.write_status(run.status().model_copy(update={"running": []})))
    thread.start()
    assert cli("logs", "r", "fit", "-f", "--store", store.root)[0] == 0
    thread.join()
