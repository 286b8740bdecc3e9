"""What runs, tables and progress look like in a notebook, and which runs of a suite are found."""

import os

import pytest
from rich.console import Console

import harness
from harness.core.config.suite import Resources
from harness.core.errors import UserError
from harness.execution import progress
from harness.execution.status import Statuses
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.plan import Plan
from harness.reporters.runs import Run
from tests.helpers.made_run import make_record, make_run


def test_a_run_shows_results_failures_and_its_page(tmp_path):
    run = Run("r1", tmp_path / "r1", {"done": 3, "failed": 1, "blocked": 0}, {"synthesize dit": "loss is <NaN>"}, 6)
    html = run._repr_html_()
    for part in ("Run r1", "6 results; jobs: 3 done, 1 failed", "synthesize dit: loss is &lt;NaN&gt;", "r1/index.html"):
        assert part in html
    assert "blocked" not in html


def test_without_html_a_run_and_a_table_are_text(tmp_path, monkeypatch):
    from IPython.lib.pretty import pretty

    monkeypatch.chdir(tmp_path)
    run = Run("r1", tmp_path / "r1", {"done": 3}, {}, 6)
    assert pretty(run) == "Run r1\n  6 results; jobs: 3 done\n  page: r1/index.html"
    table = harness.report(make_run(tmp_path / "r1", [make_record("dit")]))["leaderboard"]
    assert pretty(table) == table.to_markdown()


def test_a_run_that_had_nothing_to_do_says_so(tmp_path):
    assert "none to run, all were in the store" in Run("r1", tmp_path, {"done": 0}, {}, 6)._repr_html_()


def test_a_table_says_in_each_cell_how_it_is_aligned(tmp_path):
    table = harness.report(make_run(tmp_path / "r1", [make_record("dit")]))["leaderboard"]
    html = table._repr_html_()
    assert '<td class="word" style="text-align: left">Dit</td>' in html
    assert '<td class="number" style="text-align: right">34.0</td>' in html
    assert table.caption.split(";")[0] in html
    assert "style=" not in table.to_html()


def test_runs_of_a_suite_are_found_newest_first(tmp_path):
    assert harness.find_runs(store=tmp_path) == []
    for age, (name, suite) in enumerate([("old", "imagewoof"), ("new", "imagewoof"), ("other", "digits")]):
        folder = make_run(tmp_path / "runs" / name, [make_record(suite=suite)], suite={"name": suite, "version": 1})
        os.utime(folder / "records.json", (1000 + age, 1000 + age))
    (tmp_path / "runs" / "killed").mkdir()
    (tmp_path / "runs" / "killed" / "run.json").write_text("{}")
    assert [f.name for f in harness.find_runs("imagewoof", tmp_path)] == ["new", "old"]
    assert [f.name for f in harness.find_runs(store=tmp_path)] == ["other", "new", "old"]
    assert harness.load_results(store=tmp_path)["suite"].unique().tolist() == ["digits"]
    (tmp_path / "runs" / "new" / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json: cannot be read"):
        harness.find_runs("imagewoof", tmp_path)


class Shown:
    """Stands for the output of a cell that can be written anew."""

    def __init__(self):
        self.texts = []

    def update(self, data, raw):
        assert raw
        self.texts.append(data["text/plain"])


def test_progress_in_a_notebook_is_one_line_and_failures_stay(monkeypatch):
    shown = Shown()
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: shown)
    jobs = {key: Job(key, "train", f"train {key}", {}, {}, Resources()) for key in "abc"}
    view = progress.make_view(Plan(jobs, ()), Console(force_jupyter=True))
    with view:
        for key, status, error in (("a", "done", ""), ("b", "failed", "ran out"), ("c", "done", "")):
            view.update(Statuses(jobs, dict.fromkeys("abc", "done")), {})
            view.ended(jobs[key], status, Outcome(key, error))
    assert [text.count("\n") for text in shown.texts] == [0, 0, 1]
    assert "failed: train b: ran out" in shown.texts[-1]
    assert shown.texts[-1].endswith("done: train c")
