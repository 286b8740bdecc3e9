"""What a run leaves in its folder, however it ends."""

import json

import pytest

import harness
from harness.api import run_files as run
from harness.core.errors import UserError
from harness.execution import progress
from harness.execution.local import LocalExecutor


def about(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.fixture
def fields(tiny_suite, tmp_path):
    return {
        "methods": ["random_real"], "suite": tiny_suite, "ipc": [1], "executor": "local", "store": tmp_path, "name": "r",
    }  # fmt: skip


def test_an_executor_that_cannot_start_leaves_no_folder(fields, tmp_path, monkeypatch):
    def refuse(self, jobs):
        raise UserError("no cluster there")

    monkeypatch.setattr(LocalExecutor, "start", refuse)
    with pytest.raises(UserError, match="no cluster there"):
        harness.run(**fields)
    assert not list(tmp_path.iterdir()), "nor a store that was not there before"


def test_an_error_while_jobs_run_keeps_the_folder_and_marks_it(fields, tmp_path, monkeypatch):
    def broken(self, job, status, error):
        raise UserError("this view cannot show that")

    monkeypatch.setattr(progress.PlainView, "ended", broken)
    with pytest.raises(UserError, match="this view cannot show that"):
        harness.run(**fields)
    left = about(tmp_path / "runs" / "r")
    assert (left["status"], left["error"]) == ("failed", "UserError: this view cannot show that")
    assert left["jobs"]["done"] == 1
    assert harness.load_results("r", tmp_path)["status"].tolist() == ["interrupted"]


def test_an_error_while_results_are_written_marks_the_run(fields, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "finish", full)
    with pytest.raises(UserError, match=r"No space left on device\. The jobs' results are kept in .*store"):
        harness.run(**fields)
    left = about(tmp_path / "runs" / "r")
    assert left["status"] == "failed"
    assert "No space left on device" in left["error"]


def test_python_and_the_command_line_leave_the_same_files(fields, tiny_suite, tmp_path, cli, real_figures, monkeypatch):
    monkeypatch.setattr(run, "figures", real_figures)
    done = harness.run(**fields)
    code, *_ = cli(
        "run", "--suite", tiny_suite, "--methods", "random_real", "--ipc", "1", "--executor", "local", "--store", tmp_path,
        "--name", "other",
    )  # fmt: skip
    assert code == 0
    ours, theirs = (
        sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        for folder in (done.folder, tmp_path / "runs" / "other")
    )
    assert ours == theirs
    assert any(name.startswith("figures/") for name in ours)
    pages = [(tmp_path / "runs" / name / "index.html").read_text().count("<img") for name in ("r", "other")]
    assert pages[0] == pages[1]


def test_jobs_that_nobody_needs_are_not_said_to_be_in_the_store(fields, tmp_path, tiny_suite):
    """A teacher that was deleted after the sets were chosen is neither cached nor trained again."""
    import io
    import shutil

    from rich.console import Console

    given = fields | {"methods": ["herding"]}
    harness.run(**given)
    shutil.rmtree(tmp_path / "store" / "teacher")
    said = io.StringIO()
    again = harness.run(**given | {"name": "again"}, console=Console(file=said, width=200))
    assert "run again: 3 jobs, 2 already in the store, 1 not needed" in said.getvalue()
    jobs = about(again.folder)["jobs"]
    assert (jobs["cached"], jobs["not needed"]) == (2, 1)
    assert sum(again.executed.values()) == 0
    assert again.num_done == 1
