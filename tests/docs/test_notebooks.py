"""The notebooks run from a clean checkout, show what they promise, and are committed as they ran."""

import base64
import json
import random
import re

import nbformat
import pytest
import yaml

from harness.reporters.published_numbers import load_published
from notebooks.execute import execute, notebooks
from tests.helpers.made_run import make_record, make_run
from tests.helpers.support import ROOT

QUICKSTART = ROOT / "notebooks" / "quickstart.ipynb"
PAPER_TABLES = ROOT / "notebooks" / "paper_tables.ipynb"


def shown(notebook, kind):
    """What cells show in a form ("text/html"), or print ("stdout"), by the cell's id."""
    return {
        cell.id: "".join(
            output.get("text", "") if kind == output.get("name") else output.get("data", {}).get(kind, "")
            for output in cell.outputs
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def pictures(notebook):
    return [
        base64.b64decode(output.data["image/png"])
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]


def texts(value):
    """Yield every text below a node of a notebook, but for pictures."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for name, part in inner:
            if name != "image/png":
                yield from texts(part)


A_MACHINE = re.compile(r"(?<![\w.)/<])/(?:home|root|tmp|work|Users|usr|opt|var|mnt)\b|\b[A-Z]:\\|file://")
"""An absolute path; `../results/runs` and `</var>` are none."""


def assert_quiet(notebook):
    """No error, and nothing on standard error: no warning and no bar of progress."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert "Warning" not in json.dumps(outputs)


@pytest.mark.slow
def test_quickstart_runs_the_digits_and_shows_tables_figures_and_images(tmp_path):
    short = {
        "include": str(ROOT / "datasets" / "digits.yaml"),
        "protocol_overrides": {"idc": {"epochs": 2}},
        "teacher": {"student": "convnet3", "epochs": 3},
    }
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(short | {"method_overrides": {"dm": {"steps": 2}}}))
    done = execute(QUICKSTART, tmp_path, SUITE=str(tmp_path / "digits.yaml"))

    assert_quiet(done)
    html = shown(done, "text/html")
    for cell in ("leaderboard", "timing", "inspect", "more"):
        for method in ("Random real", "Herding", "DM"):
            assert f">{method}</td>" in html[cell], (cell, method)
    assert "18 results; jobs: 23 done" in html["run"]
    assert "convnet3" in html["records"]
    assert "5 training seeds" in html["more"]
    assert "23 already in the store" in shown(done, "text/plain")["more"]
    assert len(pictures(done)) == 2
    page = tmp_path / "notebooks" / shown(done, "stdout")["page"].strip()
    assert page.is_file()
    assert "Figure: digits, protocol idc: accuracy against IPC" in page.read_text()


@pytest.fixture
def made(tmp_path):
    """An imagewoof run of three students for each published number of two methods at IPC 10, and a method of one's own.

    One published mean is hit exactly, the other missed by ten points.
    """
    noise, records = random.Random(0), [make_record("mine", training_seed=seed) for seed in range(3)]
    for number in load_published():
        if number.suite == "imagewoof" and number.ipc == 10 and number.method in ("dit", "minimax"):
            mean = number.mean - (10 if number.method == "minimax" else 0)
            for seed in range(3):
                top1 = mean + (seed - 1) * (0.5 + noise.random() / 10)
                records.append(make_record(number.method, student=number.student, training_seed=seed, top1_best=top1))
    make_run(tmp_path / "results" / "runs" / "other", [make_record(suite="digits")], suite={"name": "digits"})
    return make_run(tmp_path / "results" / "runs" / "woof", records)


def test_paper_tables_show_published_and_measured_numbers_and_their_difference(made, tmp_path):
    done = execute(PAPER_TABLES, tmp_path)

    assert_quiet(done)
    html = shown(done, "text/html")
    assert "39.2<small> &#177; 1.3</small>" in html["published"]
    assert "Mine" in html["measured"]
    assert "Mine" not in html["beside"]
    rows = re.findall(r"<tr.*?</tr>", html["beside"])
    assert len(rows) == 1 + 2 * 3
    hit, missed = ([row for row in rows if f">{title}<" in row] for title in ("Dit", "Minimax"))
    assert all("yes" in row for row in hit)
    assert all("&#8722;10.0" in row and ">no<" in row for row in missed)
    assert "6 of 182 published numbers" in shown(done, "stdout")["beside"]
    (figure,) = pictures(done)
    assert figure.startswith(b"\x89PNG")
    latex = shown(done, "stdout")["latex"]
    assert latex.count(r"\begin{table") >= 2
    assert "29.2" in latex


def test_paper_tables_take_several_runs_by_name(made, tmp_path):
    records = json.loads((made / "records.json").read_text())
    for name, method in (("a", "dit"), ("b", "minimax")):
        make_run(tmp_path / "results" / "runs" / name, [r for r in records if r["method"] == method])
    done = execute(PAPER_TABLES, tmp_path, RUNS=["a", "b"])

    assert_quiet(done)
    assert "Mine" not in shown(done, "text/html")["measured"]
    assert "6 of 182 published numbers" in shown(done, "stdout")["beside"]
    assert len(pictures(done)) == 1


def test_paper_tables_with_nothing_to_compare_say_so_and_draw_nothing(tmp_path):
    make_run(tmp_path / "results" / "runs" / "woof", [make_record("mine")])
    done = execute(PAPER_TABLES, tmp_path)

    assert_quiet(done)
    assert "0 of 182 published numbers" in shown(done, "stdout")["beside"]
    assert pictures(done) == []


def test_paper_tables_of_a_suite_with_context_only_compare_nothing(tmp_path):
    folder = tmp_path / "results" / "runs" / "aid"
    make_run(folder, [make_record("minimax", suite="aid")], suite={"name": "aid", "version": 1})
    done = execute(PAPER_TABLES, tmp_path, SUITE="aid")

    assert_quiet(done)
    assert "context only: aid" in shown(done, "text/html")["published"]
    assert "48.96" in shown(done, "text/html")["published"]
    assert "0 of 1 published numbers" in shown(done, "stdout")["beside"]


def test_paper_tables_without_a_run_show_what_is_published_and_the_command(tmp_path):
    done = execute(PAPER_TABLES, tmp_path)

    assert_quiet(done)
    assert "39.2<small> &#177; 1.3</small>" in shown(done, "text/html")["published"]
    assert "harness run --suite imagewoof" in shown(done, "text/markdown")["measured"]
    assert shown(done, "stdout")["latex"].count(r"\begin{table") == 9
    assert pictures(done) == []


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_what_is_committed_ran_from_top_to_bottom_and_names_no_machine(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)

    assert path.stat().st_size < 400_000
    assert notebook.metadata.kernelspec.name == "python3"
    assert not [text for text in texts(notebook) if A_MACHINE.search(text)]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert_quiet(notebook)


def test_the_committed_quickstart_has_its_outputs_and_paper_tables_has_nothing_measured():
    quickstart, paper_tables = (nbformat.read(path, as_version=4) for path in (QUICKSTART, PAPER_TABLES))
    assert len(pictures(quickstart)) == 2
    assert "Random real" in shown(quickstart, "text/html")["leaderboard"]
    assert "harness run --suite imagewoof" in shown(paper_tables, "text/markdown")["measured"]
    assert pictures(paper_tables) == []


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_links_of_notebooks_lead_somewhere(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", cell.source if cell.cell_type == "markdown" else ""):
            assert (path.parent / target).exists(), target
