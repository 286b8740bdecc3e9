"""The arguments of `harness.run` and `harness.evaluate` are the fields of a request, by name and type."""

import inspect
from pathlib import Path
from typing import Literal

import pytest

import harness
from harness.planning.request import Names, Numbers, Paths, RunRequest, Settings, Sizes, make_request
from tests.helpers.made_run import make_record, make_run
from tests.helpers.support import ROOT

TEXT, FOLDER = str | None, str | Path | None
ANNOTATIONS = {
    "methods": Names | None, "log": Names | None, "students": Names | None, "plugins": Paths | None, "settings": Settings | None,
    "ipc": Numbers | None, "seeds": Numbers | None, "distill_seeds": Numbers | None, "bytes": Sizes | None,
    "suite": FOLDER, "protocol": FOLDER, "store": FOLDER, "data_root": FOLDER, "weights_root": FOLDER,
    "job_timeout": float | str | None, "device": Literal["auto", "cpu", "cuda"] | None,
}  # fmt: skip
"""Of fields that take more than they keep: one name for several, a path for its text. The others have the type of the field."""


@pytest.mark.parametrize("function", [harness.run, harness.evaluate])
def test_a_call_takes_each_field_of_a_request_with_its_type(function):
    parameters = inspect.signature(function, eval_str=True).parameters
    assert not [p for p in parameters.values() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for name, field in RunRequest.model_fields.items():
        expected = ANNOTATIONS.get(name, field.annotation | None)
        if (function, name) == (harness.evaluate, "suite"):
            expected = str | Path
        assert parameters[name].annotation == expected, name
    own = {"images", "as_name", "title", "pick", "class_order", "normalised", "keep_float", "labels"}
    extra = own if function is harness.evaluate else {"config"}
    assert set(parameters) == {*RunRequest.model_fields, *extra, "console"}


def test_what_a_call_leaves_out_has_the_default_of_the_request():
    parameters = inspect.signature(harness.run).parameters
    left_out = {name: p.default for name, p in parameters.items() if name not in ("console", "config", "suite")}
    assert make_request(suite="digits", **left_out) == RunRequest(suite="digits")


def test_completion_offers_the_public_names_only():
    assert set(dir(harness)) == {*harness.__all__, "__version__"}


def test_type_checkers_may_read_the_annotations_of_the_package():
    """PEP 561: without this file they take everything for Any."""
    assert (ROOT / "harness" / "py.typed").is_file()


def test_a_run_gives_its_records_tables_and_figures(tmp_path):
    folder = make_run(tmp_path / "r1", [make_record("dit", top1_best=34.0), make_record("minimax", top1_best=44.0)])
    run = harness.Run("r1", folder)
    assert run.records["method"].tolist() == ["dit", "minimax"]
    assert run.leaderboard().to_markdown() == harness.report(folder)["leaderboard"].to_markdown()
    assert set(run.tables()) == set(harness.report(folder))
    assert run.page == folder / "index.html"
    assert all(path.is_file() for pair in run.figures(kinds=["accuracy"]).values() for path in pair)
