"""The citations of a run: entries that BibTeX reads, and nothing that a received run could make TeX do."""

import json

import pytest
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.core.bibtex import parse_bibtex
from harness.core.plugin import discovery
from harness.reporters.page.cite import bibtex, cited
from tests.helpers.made_run import make_record, make_run

RUN = {
    "started": "2026-01-02T03:04",
    "suite": {"name": "mine", "source": {"kind": "image_folder", "origins": ["imagenet1k", "imagewoof2"]}},
    "environment": {"harness": "0.1.0", "git": {"commit": "abc"}},
    "methods": {},
}


def method(name="a", **about):
    return {"name": name, "title": "A & B", "reference": "50% of {x}_1\nby C@d", **about}


def test_the_harness_comes_first_with_version_commit_and_year_then_the_data():
    first, *data = parse_bibtex(bibtex([], RUN))
    assert first.key == "distillation-harness"
    assert first.fields["note"] == "Version 0.1.0, commit abc"
    assert first.fields["year"] == "2026"
    assert first.fields["author"].startswith("{The maintainers")
    assert [entry.key for entry in data] == ["deng2009imagenet", "howard2019imagewoof"]
    assert "datasets" not in str(data[0])


def test_a_method_without_bibtex_is_a_comment_that_bibtex_skips():
    text = bibtex([method()], RUN)
    assert "% a (A & B): 50% of {x}_1 by C(at)d; it states no BibTeX\n" in text
    assert text.count("@") == 3


def test_a_run_of_an_earlier_version_gets_the_entry_of_the_same_method_only():
    discovery.discover()
    reference = discovery.methods.get("dm").reference
    assert "zhao2023dm" in bibtex([method("dm", reference=reference)], RUN)
    assert "zhao2023dm" not in bibtex([method("dm", reference="another paper")], RUN)
    assert "zhao2023dm" not in bibtex([method("dm", reference=reference, bibtex="")], RUN)


@pytest.mark.parametrize(
    "title",
    [
        r"\input{/etc/passwd}",
        r"\immediate\write18{ls}",
        r"\csname input\endcsname x",
        r"\'\input x",
        r"\c\input x",
        "^^5cinput x",
    ],
)
def test_tex_of_a_received_run_that_is_more_than_letters_is_left_out(title):
    entry = "@misc{a, title = {%s}}"
    assert title not in bibtex([method(bibtex=entry % title)], RUN)
    assert "states no BibTeX" in bibtex([method(bibtex=entry % title)], RUN)
    assert r"Bj{\"o}rn \textit{x} \& \url{a}" in bibtex(
        [method(bibtex=entry % r"Bj{\"o}rn \textit{x} \& \url{a}")], RUN
    )
    assert "states no BibTeX" in bibtex([method(bibtex="no entry")], RUN)


def test_several_runs_give_each_entry_once():
    one = RUN | {"methods": {"a": method(bibtex="@misc{a, title = {A}}"), "b": method(bibtex="")}}
    two = RUN | {"methods": {"a": method(bibtex="@misc{a, title = {A}}"), "c": method(bibtex="@misc{a, title = {C}}")}}
    keys = [entry.key for entry in parse_bibtex(cited([one, two]).split("% b")[0])]
    assert keys == ["distillation-harness", "deng2009imagenet", "howard2019imagewoof", "a", "a-2"]


def test_the_command_prints_the_entries_of_runs_and_of_a_method(tmp_path):
    discovery.discover()
    reference = discovery.methods.get("dm").reference
    folder = make_run(tmp_path / "runs" / "first", [make_record("dm", suite="digits")])
    about = json.loads((folder / "run.json").read_text())
    about["methods"] = {"dm": {"reference": reference}}
    about["suite"] |= {"name": "digits", "source": {"kind": "digits"}}
    (folder / "run.json").write_text(json.dumps(about))
    done = CliRunner().invoke(app.app, ["cite", "first", "--store", str(tmp_path)])
    assert [e.key for e in parse_bibtex(done.output)] == ["distillation-harness", "alpaydin1998digits", "zhao2023dm"]
    shown = CliRunner().invoke(app.app, ["show", "method", "dm"], env={"COLUMNS": "40"})
    assert parse_bibtex(shown.output[shown.output.index("@inproc") :])[0].key == "zhao2023dm"


def test_a_run_keeps_the_bibtex_of_its_methods(tmp_path, tiny_suite):
    done = harness.run(methods=["random_real"], suite=tiny_suite, store=tmp_path, executor="local", ipc=[1], seeds=[0])
    assert json.loads((done.folder / "run.json").read_text())["methods"]["random_real"]["bibtex"] == ""
