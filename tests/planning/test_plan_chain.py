"""A key holds the keys of what its job is made from, and the version of its stage: a change upstream reaches every job below."""

import pytest

from harness.core.config.generator import GeneratorSpec, PriorTraining
from harness.jobs.job import STAGE_VERSIONS
from harness.planning.plan import MethodPlan
from harness.planning.planner import make_plan
from tests.planning.test_plan import CLASSES, Everything, Fitted, Plain, given

FITTED = (MethodPlan("fitted", Fitted, {}, "code"),)
ORDER = ("prior", "teacher", "fit", "synthesize", "train")


def by_kind(**changes):
    """Keys of the jobs of each kind."""
    jobs = make_plan(given(**{"methods": FITTED, **changes})).jobs
    return {kind: {key for key, job in jobs.items() if job.kind == kind} for kind in ORDER}


@pytest.mark.parametrize(
    ("kind", "below"),
    [
        ("prior", {"prior", "fit", "synthesize", "train"}),
        ("teacher", {"teacher", "fit", "synthesize", "train"}),
        ("fit", {"fit", "synthesize", "train"}),
        ("synthesize", {"synthesize", "train"}),
        ("train", {"train"}),
    ],
)
def test_a_new_version_of_a_stage_changes_its_keys_and_those_below_and_no_others(kind, below, monkeypatch):
    before = by_kind()
    monkeypatch.setitem(STAGE_VERSIONS, kind, STAGE_VERSIONS[kind] + 1)
    after = by_kind()
    assert {k for k in ORDER if not before[k] & after[k]} == below
    assert all(before[k] == after[k] for k in set(ORDER) - below)


def test_students_are_trained_anew_where_their_images_would_be_others():
    """Nothing about a method stands in the specification of a training, but what it depends on."""
    changed = (MethodPlan("plain", Plain, {"steps": 2}, "code"),)
    plain = (MethodPlan("plain", Plain, {}, "code"),)
    assert not by_kind(methods=plain)["train"] & by_kind(methods=changed)["train"]


def test_another_generator_reaches_the_students():
    wider = {"class_conditional": GeneratorSpec(train=PriorTraining(hidden_size=96))}
    before, after = by_kind(), by_kind(suite={"generators": wider})
    assert before["teacher"] == after["teacher"]
    assert not any(before[kind] & after[kind] for kind in ("prior", "fit", "synthesize", "train"))


def test_real_images_trained_on_directly_are_in_the_key_too():
    everything = (MethodPlan("everything", Everything, {}, "code"),)
    before = by_kind(methods=everything)["train"]
    assert before
    assert not before & by_kind(methods=everything, data_fingerprint="other")["train"]
    assert not before & by_kind(methods=everything, classes=CLASSES[::-1])["train"]
