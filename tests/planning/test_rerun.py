"""A dry run says why a job runs again: what of its key is another than in the newest job of its name."""

import os

import pytest

from harness.core.config.generator import GeneratorSpec, PriorTraining
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Budget, Resources, Teacher
from harness.core.store import Store
from harness.jobs.job import STAGE_VERSIONS
from harness.planning.plan import MethodPlan
from harness.planning.planner import make_plan
from harness.planning.rerun import rerun_reasons
from tests.planning.test_plan import CLASSES, Fitted, Plain, given

NEWER = type("Newer", (Plain,), {"version": 2})
METHODS = (MethodPlan("plain", Plain, {"steps": 1}, "code"), MethodPlan("fitted", Fitted, {}, "code"))


def planned(**changes):
    budget = {"budget": Budget(ipc=(1, 10), distillation_seeds=(0,), training_seeds=(0, 1, 2))}
    suite = budget | changes.pop("suite", {})
    return make_plan(given(**{"methods": METHODS, "students": ("convnet3",), "suite": suite} | changes))


def fill(store, plan, age=0, **changes):
    """Write the artefacts of a plan without running it, some seconds ago."""
    for key, job in plan.jobs.items():
        about = {"title": job.title, "suite": job.suite, "identity": job.identity, "spec": job.spec, "deps": job.deps}
        store.write(job.kind, key, lambda folder, about=about: {**about, **changes})
        written = store.path(job.kind, key) / "manifest.json"
        os.utime(written, (written.stat().st_mtime - age,) * 2)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    fill(store, planned())
    return store


def test_what_is_there_or_was_never_run_has_no_reason(store, tmp_path):
    assert rerun_reasons(planned(), store) == []
    assert rerun_reasons(planned(), Store(tmp_path / "empty")) == []
    assert rerun_reasons(planned(students=("resnet18",)), store) == []
    assert rerun_reasons(planned(suite={"budget": Budget(ipc=(1, 10, 50), training_seeds=(0, 1, 2))}), store) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"protocol": Protocol(lr=0.02)}, ["12 train jobs: protocol.lr 0.01 -> 0.02"]),
        (
            {"protocol": Protocol(epochs=7, flip=False)},
            [
                "6 train jobs: protocol.epochs 3000 -> 7, protocol.flip true -> false",
                "6 train jobs: protocol.epochs 2000 -> 7, protocol.flip true -> false",
            ],
        ),
        (
            {"methods": (MethodPlan("plain", Plain, {"steps": 3}, "code"), METHODS[1])},
            [
                "2 synthesize jobs: plain.steps 1 -> 3",
                "3 train jobs: because synthesize plain ipc 1 seed 0 runs again",
                "3 train jobs: because synthesize plain ipc 10 seed 0 runs again",
            ],
        ),
        (
            {"methods": (METHODS[0], MethodPlan("fitted", Fitted, {}, "edited"))},
            [
                "2 fit jobs: code of fitted changed",
                "synthesize fitted ipc 10 seed 0: code of fitted changed",
                "6 train jobs: because synthesize fitted ipc 10 seed 0 runs again",
            ],
        ),
        (
            {"suite": {"teacher": Teacher(student="convnet3", epochs=2)}},
            [
                "teacher convnet3: teacher.epochs 1 -> 2",
                "2 fit jobs: because teacher convnet3 runs again",
                "synthesize fitted ipc 10 seed 0: because teacher convnet3 runs again",
                "6 train jobs: because synthesize fitted ipc 10 seed 0 runs again",
            ],
        ),
        (
            {"suite": {"generators": {"class_conditional": GeneratorSpec(train=PriorTraining(depth=5))}}},
            [
                "prior class_conditional: train.depth 4 -> 5",
                "2 fit jobs: because prior class_conditional runs again",
                "synthesize fitted ipc 10 seed 0: because prior class_conditional runs again",
                "6 train jobs: because synthesize fitted ipc 10 seed 0 runs again",
            ],
        ),
        ({"suite": {"resources": {"train": Resources(cpus=2)}}}, ["12 train jobs: cpus 1 -> 2"]),
    ],
    ids=["protocol", "epochs", "option", "code", "teacher", "generator", "threads"],
)
def test_a_change_is_named_once_for_all_jobs_that_it_befalls(store, changes, told):
    assert rerun_reasons(planned(**changes), store) == told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data_fingerprint": "edited"}, "data changed"),
        ({"classes": CLASSES[::-1]}, "data changed"),
        ({"device": "cuda"}, "device cpu -> cuda"),
        ({"methods": (MethodPlan("plain", NEWER, {"steps": 1}, "code"),)}, "version of plain 1 -> 2"),
    ],
)
def test_data_device_and_versions_are_named(store, changes, told):
    assert any(told in line for line in rerun_reasons(planned(**changes), store))


def test_another_stage_of_the_harness_is_named(store, monkeypatch):
    monkeypatch.setitem(STAGE_VERSIONS, "train", STAGE_VERSIONS["train"] + 1)
    (told,) = rerun_reasons(planned(), store)
    assert told.startswith("12 train jobs: the harness changed how it runs train (version ")


def test_the_newest_of_a_name_is_compared_with(tmp_path):
    store = Store(tmp_path)
    fill(store, planned(protocol=Protocol(lr=0.5)), age=10)
    fill(store, planned(protocol=Protocol(momentum=0.5)), age=100)
    assert rerun_reasons(planned(), store) == ["12 train jobs: protocol.lr 0.5 -> 0.01"]


def test_another_suite_is_compared_with_only_where_it_has_the_same_data(tmp_path):
    store = Store(tmp_path)
    fill(store, planned(suite={"name": "other"}, data_fingerprint="other"))
    assert rerun_reasons(planned(), store) == []
    fill(store, planned(suite={"name": "another"}, protocol=Protocol(lr=0.5)))
    assert rerun_reasons(planned(), store) == ["12 train jobs: protocol.lr 0.5 -> 0.01"]


def test_artefacts_without_an_identity_and_damaged_ones_are_named(tmp_path):
    store = Store(tmp_path)
    fill(store, planned(protocol=Protocol(lr=0.5)), identity=None)
    (told,) = rerun_reasons(planned(), store)
    assert told == "12 train jobs: made by an earlier version of the harness, which computed keys differently"
    broken = next(job for job in planned(protocol=Protocol(lr=0.5)).jobs.values() if job.kind == "train")
    manifest = store.path("train", broken.key) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"files": {}', '"files": {"gone": {"size": 3}}'))
    assert rerun_reasons(planned(protocol=Protocol(lr=0.5)), store) == [
        f"{broken.title}: its result in the store is damaged"
    ]


def test_a_dry_run_prints_the_reasons(tiny_suite, tmp_path, cli):
    line = ("run", "--suite", tiny_suite, "--methods", "random_real", "--ipc", "1", "--store", tmp_path)
    assert cli(*line, "--executor", "local", "--set", "protocol.lr=0.25")[0] == 0
    changes = ("--set", "random_real.order=first_files", "--set", "protocol.lr=0.5")
    code, out, _ = cli(*line, *changes, "--dry-run")
    assert code == 0
    assert "its key differs from that of the newest job with this name in the store:" in out
    assert "synthesize random_real ipc 1 seed 0: random_real.order random -> first_files" in out
    assert "train random_real ipc 1 set 0 convnet3 seed 0: protocol.lr 0.25 -> 0.5" in out
    assert "runs again" not in cli(*line, *changes, "--dry-run", "--fresh")[1]
