"""One page of several runs."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.api import report
from tests.helpers.made_run import make_record, make_run, write_noise
from tests.reporters.page.test_page import Page


@pytest.fixture
def two(tmp_path):
    """Two runs of other methods, each with a sheet, a failure and a page."""
    folders = []
    for name, method in (("first", "dit"), ("second", "herding")):
        rows = [make_record(method, training_seed=seed, top1_last=30.0 + seed, run=name) for seed in range(3)]
        rows.append(make_record(f"broken_{name}", status="failed", error=f"no memory in {name}", run=name))
        folder = make_run(tmp_path / name, rows)
        write_noise(folder / "images" / f"{method}_ipc10_seed0.png", 90, 60)
        report.write_page(folder)
        folders.append(folder)
    return folders


def state(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_page_of_two_runs_has_one_leaderboard_and_the_rest_of_both(two, tmp_path):
    before = [state(folder) for folder in two]
    path = report.write_page(two, to=tmp_path / "new" / "both.html")
    assert path == tmp_path / "new" / "both.html"
    assert [state(folder) for folder in two] == before, "their own pages stay as they are"
    page = Page(path.read_text())
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert max(ids.values()) == 1
    assert "Leaderboard: imagewoof, protocol idc" in page.texts["h2"]
    assert len([heading for heading in page.texts["h2"] if heading.startswith("Leaderboard")]) == 1
    text = page.texts["body"][0]
    for expected in ("runs first, second", "no memory in first", "no memory in second", "3 of 4 results"):
        assert expected in text, expected
    alts = [image["alt"] for image in page.all("img")]
    assert [alt for alt in alts if alt.startswith("Distilled set of Dit")]
    assert [alt for alt in alts if alt.startswith("Distilled set of Herding")]
    assert [alt for alt in alts if "accuracy against" in alt], "figures of both are drawn"
    assert {"provenance-1", "provenance-2", "command-1", "command-2"} <= set(ids)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--html"], "add --to FILE.html"),
        (["--html", "--to", "folder"], "add --to FILE.html"),
        (["--to", "both.html"], "is a page: add --html"),
        (["--html", "--figures", "--to", "both.html"], "use --figures in a separate command"),
    ],
)
def test_a_page_of_two_runs_without_a_file_is_refused(two, arguments, told, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = [state(folder) for folder in two]
    code, _, err = cli("report", *two, *arguments)
    assert (code, told in err, err.count("error:")) == (2, True, 1)
    assert [state(folder) for folder in two] == before
    assert not (tmp_path / "both.html").exists()


def test_the_page_of_one_of_them_is_not_overwritten(two, cli):
    before = state(two[0])
    code, _, err = cli("report", *two, "--html", "--to", two[0] / "index.html")
    assert (code, "stays as it is" in err) == (2, True)
    assert state(two[0]) == before


def test_the_command_writes_the_page_and_says_where(two, cli, tmp_path):
    code, out, err = cli("report", *two, "--html", "--to", tmp_path / "both.html")
    assert (code, err) == (0, "")
    assert out.strip().endswith(f"page  {tmp_path / 'both.html'}")
    assert "second" in (tmp_path / "both.html").read_text()


def test_the_page_of_one_run_may_go_into_a_file_too(two, cli, tmp_path):
    own = (two[0] / "index.html").stat().st_mtime_ns
    code, _, err = cli("report", two[0], "--html", "--to", tmp_path / "one.html")
    assert (code, err) == (0, "")
    assert 'id="command"' in (tmp_path / "one.html").read_text()
    assert (two[0] / "index.html").stat().st_mtime_ns == own
