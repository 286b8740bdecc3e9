"""A run is looked at again: numbers and maps from its store, its training images and its teacher; records stay."""

import json

import pytest

import harness
from harness.core.errors import UserError
from harness.jobs.context import _open_split


@pytest.fixture(scope="module")
def run(tiny_suite, shared_store):
    """Herding needs the teacher; random_real does not."""
    return harness.run(methods=["random_real", "herding"], suite=tiny_suite, executor="local", store=shared_store)


def test_numbers_and_maps_are_written_and_the_test_split_is_not_opened(run, tiny_suite, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "harness.jobs.context._open_split", lambda data, name: opened.append(name) or _open_split(data, name)
    )
    before = (run.folder / "records.json").read_bytes()
    found = harness.inspect(run, suite=tiny_suite)
    assert set(opened) == {"train"}
    assert set(found.figures) == {"features_pca_ipc1", "features_pca_ipc2"}
    assert len(found.table.frame) == 4
    assert found.table.frame["coverage_mean"].between(0, 1).all()
    assert found.table.frame["representativeness_mean"].between(0, 1 + 1e-9).all()
    for ending in ("csv", "md", "json"):
        assert (run.folder / "figures" / f"coverage.{ending}").is_file()
    assert (run.folder / "records.json").read_bytes() == before


@pytest.mark.parametrize("wrong", [{"features": "teachr"}, {"projection": "umap"}, {"device": "tpu"}])
def test_a_wrong_choice_is_refused(run, wrong, tiny_suite):
    with pytest.raises(UserError):
        harness.inspect(run, suite=tiny_suite, **wrong)


def test_other_images_than_the_runs_are_refused(run, tmp_path, tiny_suite):
    about = json.loads((run.folder / "run.json").read_text())
    copy = tmp_path / "runs" / "copy"
    copy.mkdir(parents=True)
    (copy / "run.json").write_text(json.dumps(about | {"data_fingerprint": "other"}))
    (copy / "records.json").write_bytes((run.folder / "records.json").read_bytes())
    with pytest.raises(UserError, match="not those that it was made from"):
        harness.inspect(copy, run.folder.parents[1], suite=tiny_suite)


def test_figures_of_a_run_lie_in_its_folder(run):
    drawn = harness.figures(run)
    assert {"accuracy_ipc", "training_accuracy", "training_loss"} <= set(drawn)
    assert all(path.parent == run.folder / "figures" for paths in drawn.values() for path in paths)


def test_features_are_those_of_the_suites_teacher_and_not_of_a_methods_own(tiny_suite, shared_store, monkeypatch):
    from harness.reporters.inspection import run_images

    opened, load = [], run_images.load_teacher_features
    monkeypatch.setattr(run_images, "load_teacher_features", lambda at, context: opened.append(at) or load(at, context))
    options = {"suite": tiny_suite, "executor": "local", "store": shared_store, "ipc": [1]}
    both = harness.run(methods=["sre2l", "herding"], **options)
    harness.inspect(both, suite=tiny_suite)
    (place,) = opened
    assert json.loads((place / "manifest.json").read_text())["spec"]["teacher"]["student"] == "convnet3"
