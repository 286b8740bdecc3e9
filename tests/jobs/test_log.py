"""Every artefact keeps what its job printed; the terminal sees what it saw, and no key knows of it."""

import io
import logging
import re
import subprocess
import sys
import warnings

import pytest

import harness
from harness.core.store import Store
from harness.core.text import without_controls
from harness.jobs.log import LOG, JobLog
from tests.helpers.support import ROOT

TALKATIVE = """
import logging, sys, warnings
from harness import DistilledSet, Method, register_method

logger = logging.getLogger("talkative")
logger.addHandler(logging.StreamHandler())

def talk(task, ipc):
    print("printed \\x1b[31mred\\x1b[0m")
    print("to standard error", file=sys.stderr)
    warnings.warn("warned of something")
    logger.error("logged")
    return {c.id: task.rng(c.id) for c in task.classes}

@register_method("talkative")
class Talkative(Method):
    title = "Talkative"
    def synthesize(self, task, state, ipc):
        import torch
        return DistilledSet({c: torch.rand(ipc, 3, 16, 16, generator=g) for c, g in talk(task, ipc).items()})

@register_method("talks_and_fails")
class Fails(Method):
    title = "Talks and fails"
    def synthesize(self, task, state, ipc):
        talk(task, ipc)
        raise RuntimeError("out of words")
"""

SAID = ("printed red\n", "to standard error\n", "UserWarning: warned of something", "logged\n")


@pytest.fixture
def talkative(tmp_path):
    path = tmp_path / "talkative.py"
    path.write_text(TALKATIVE)
    return path


def print_warning(message, category, *place):
    print(f"{category.__name__}: {message}", file=sys.stderr)


@pytest.mark.filterwarnings("default:warned of something")
@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.drill])])
def test_a_job_keeps_what_it_said_and_a_failed_one_leaves_it_beside_its_traceback(
    executor, talkative, tiny_suite, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(warnings, "showwarning", print_warning)  # pytest keeps warnings for itself
    run = harness.run(
        methods=["talkative", "talks_and_fails"], suite=tiny_suite, ipc=[1], plugins=[talkative], executor=executor,
        store=tmp_path / "store", workers=1 if executor == "ray" else None,
    )  # fmt: skip
    store, rows = Store(tmp_path / "store"), harness.load_results(run).set_index("method")
    key = rows.loc["talkative", "distilled_key"]
    log = (store.path("synthesize", key) / LOG).read_text()
    failed = next((run.folder / "errors").glob("*.log")).read_text()
    for said in SAID:
        assert said in log
        assert said in failed
    assert log.startswith("synthesize talkative ipc 1 seed 0\nstarted 20")
    assert LOG in store.manifest("synthesize", key)["files"]
    trained = store.path("train", rows.loc["talkative", "train_key"]) / LOG
    assert "(it printed nothing)" in trained.read_text()
    out, err = capsys.readouterr()
    if executor == "local":  # as before: a tee, and no detour
        assert "printed \x1b[31mred\x1b[0m\n" in out
        assert all(said in err for said in SAID[1:])


def recorded(work, **options):
    log = JobLog("a job", **options)
    with log.recording():
        work()
    return log.text()


def test_a_handler_made_before_the_job_is_heard_and_one_made_in_it_outlives_it(monkeypatch):
    """A handler holds the stream of the moment when it was made."""
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    logger = logging.getLogger("test_job_log")
    logger.propagate = False
    before = logging.StreamHandler()
    logger.addHandler(before)
    made = []

    def work():
        made.append(logging.StreamHandler())
        logger.addHandler(made[0])
        logger.error("hello")

    try:
        assert recorded(work).count("hello\n") == 2
        assert before.stream is screen
        assert recorded(lambda: logger.error("again")).count("again\n") == 2
        logger.error("after")
        assert screen.getvalue() == "hello\n" * 2 + "again\n" * 2 + "after\n" * 2
    finally:
        logger.handlers.clear()
        logger.propagate = True


@pytest.mark.filterwarnings("default:once a place")
def test_a_warning_that_an_earlier_job_showed_is_in_the_log_of_the_next_too(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", print_warning)

    def warn():
        for _ in range(3):
            warnings.warn("once a place", stacklevel=1)

    assert [recorded(warn).count("once a place") for _ in range(2)] == [1, 1]


def test_the_middle_of_a_long_log_is_left_out():
    def work():
        for number in range(1000):
            print(f"line {number}")

    text = recorded(work, half=100)
    assert "line 0\n" in text
    assert "line 999\n" in text
    assert "line 500\n" not in text
    assert "characters left out]" in text
    assert len(text) < 500
    assert len(recorded(lambda: print("x" * 10_000), half=100)) < 500


def test_marks_for_a_terminal_are_taken_out():
    assert without_controls("\x1b[1;31mred\x1b[0m \x1b]0;title\x07a\x1b(Bb\x00\x9b\u202ec\ttab") == "red abc\ttab"
    assert without_controls("  1%\r 50%\r100%\nnext\r\nlast\r") == "100%\nnext\nlast"


def test_streams_are_restored_after_a_failure():
    out, err = sys.stdout, sys.stderr
    log = JobLog("a job")
    with pytest.raises(ValueError, match="no"), log.recording():
        raise ValueError("no")
    assert (sys.stdout, sys.stderr) == (out, err)
    assert "ended 20" in log.text()


def test_the_log_can_be_read_while_the_job_runs(tmp_path, capsys):
    log, folder = JobLog("fit slow"), tmp_path / "scratch"
    log.grows_in(folder)
    with log.recording():
        print("half way")
        [path] = folder.glob("log-*.txt")
        assert re.fullmatch(r"fit slow\nstarted \S+\n\nhalf way\n", path.read_text())
        print("no end of line", end="")
    assert re.search(r"half way\nno end of line\nended \S+, after [\d.]+ s\n$", path.read_text())
    log.drop_live()
    assert not folder.exists()


def test_a_log_that_grows_without_end_keeps_its_beginning_and_its_end(tmp_path, capsys):
    log = JobLog("fit loud", half=100)
    log.grows_in(tmp_path)
    with log.recording():
        for number in range(1000):
            print(f"line {number:04d}")
            [path] = tmp_path.glob("log-*.txt")
            assert path.stat().st_size < 700
        text = path.read_text()
        assert text.startswith("fit loud\nstarted ")
        assert "line 0000" in text
        assert "characters left out]" in text
        assert "line 0999\n" in text


def test_a_folder_that_cannot_be_written_costs_the_file_and_not_the_job(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    log = JobLog("fit")
    log.grows_in(tmp_path / "file")
    with log.recording():
        print("said")
    assert "said" in log.text()


KILLED = """
import os, signal, sys
from pathlib import Path
from harness.jobs.log import JobLog
log = JobLog("fit killed")
log.grows_in(Path(sys.argv[1]))
with log.recording():
    print("the last words")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_printed_is_not_lost(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False, cwd=ROOT, stdout=subprocess.DEVNULL)
    [path] = tmp_path.glob("log-*.txt")
    assert "the last words\n" in path.read_text()
