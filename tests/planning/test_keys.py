"""A key holds what differs from the defaults, and the content that a student sees; new options change no key."""

import json
from pathlib import Path

import pytest

from harness.core.config.base import ConfigModel
from harness.core.config.generator import GeneratorSpec, PriorTraining, TextPriorTraining
from harness.core.config.protocol import ByIpc, Protocol
from harness.core.config.suite import Budget, Resources, Teacher
from harness.jobs.job import STAGE_VERSIONS
from harness.planning.keys import changed, key_of
from harness.planning.plan import MethodPlan
from harness.planning.planner import make_plan
from tests.planning.test_plan import Fitted, Plain, Redrawn, given

DEFAULTS = Path(__file__).parent / "key_defaults.json"


def all_keys(**changes):
    methods = (MethodPlan("plain", Plain, {}, "code"), MethodPlan("fitted", Fitted, {}, "code"))
    return set(make_plan(given(**{"methods": methods, "protocol": Protocol(labels="soft"), **changes})).jobs)


def one(cls, **config):
    return {"methods": (MethodPlan("plain", cls, config, "code"),)}


class Grown(Plain):
    """Plain, with an option more."""

    class Config(Plain.Config):
        """Options."""

        more: tuple[int, ...] = (1, 2)


class GrownProtocol(Protocol):
    """The protocol, with a field more."""

    more: ByIpc = ByIpc(up_to=(), above=3)


class GrownTeacher(Teacher):
    """The teacher, with a field more."""

    more: float = 0.5


class GrownTraining(PriorTraining):
    """A generator's training, with a field more."""

    more: int = 3


def test_a_new_option_with_a_default_changes_no_key():
    assert all_keys(**one(Grown)) == all_keys(**one(Plain))
    assert all_keys(**one(Grown, more=[1, 2])) == all_keys(**one(Plain))
    assert all_keys(**one(Grown, more=[1])) != all_keys(**one(Plain))


def test_a_new_field_of_a_protocol_a_teacher_or_a_generators_training_changes_no_key():
    def suite(teacher, training):
        spec = GeneratorSpec(train=PriorTraining()).model_copy(update={"train": training})
        return {"suite": {"teacher": teacher, "generators": {"class_conditional": spec}}}

    grown = GrownProtocol(labels="soft")
    before = all_keys(**suite(Teacher(student="convnet3", epochs=1), PriorTraining()))
    assert all_keys(protocol=grown, teacher_protocol=GrownProtocol()) == all_keys()
    assert all_keys(**suite(GrownTeacher(student="convnet3", epochs=1), GrownTraining())) == before
    for other in (
        suite(GrownTeacher(student="convnet3", epochs=1, more=0.6), PriorTraining()),
        suite(Teacher(student="convnet3", epochs=1), GrownTraining(more=4)),
    ):
        assert all_keys(**other) != before
    assert all_keys(protocol=GrownProtocol(labels="soft", more=4)) != all_keys()


def test_the_version_tells_other_defaults_apart():
    newer = type("Newer", (Plain,), {"version": 2})
    hard = {"protocol": Protocol()}  # no teacher, which both would share
    assert not all_keys(**hard, **one(newer)) & all_keys(**hard, **one(Plain))
    assert all_keys(protocol=Protocol(labels="soft", version=2)) != all_keys()


def test_a_changed_default_comes_with_a_new_version():
    """Keys hold no defaults: with another one, equal keys would mean other work. Raise the version, then correct the file."""
    now = {
        "Protocol": {"version": Protocol().version, **changed_from_nothing(Protocol())},
        "Teacher": {"version": STAGE_VERSIONS["teacher"], **changed_from_nothing(Teacher(student="x", epochs=1))},
        "PriorTraining": {"version": STAGE_VERSIONS["prior"], **changed_from_nothing(PriorTraining())},
        "TextPriorTraining": {"version": STAGE_VERSIONS["prior"], **changed_from_nothing(TextPriorTraining())},
    }
    stored = json.loads(DEFAULTS.read_text())
    for name, values in now.items():
        other = [field for field in values if field in stored[name] and values[field] != stored[name][field]]
        assert not other or "version" in other, f"{name}: other defaults of {other}, and the version is the old one"
    assert json.loads(json.dumps(now)) == stored, f"write the defaults as they are now into {DEFAULTS.name}"


def changed_from_nothing(model):
    return json.loads(json.dumps(model.model_dump(mode="json")))


class Inner(ConfigModel):
    """A config inside another."""

    a: int = 1


class Other(ConfigModel):
    """Another class of the same fields."""

    a: int = 1


class Outer(ConfigModel):
    """Holds values that are easily taken for one another."""

    number: float = 1
    either: bool | int = 1
    inner: Inner | Other = Inner()
    table: dict[str, Inner] = {}


def test_what_counts_as_the_default():
    assert changed(Outer(number=1.0)) == {}
    assert changed(Outer(either=True)) == {"either": True}
    assert changed(Outer(inner=Other())) == {"inner": ["Other", {}]}
    assert changed(Outer(table={"x": Inner(a=2)})) == {"table": {"x": ["Inner", {"a": 2}]}}


@pytest.mark.parametrize(("device", "equal"), [("cpu", False), ("cuda", True), ("cuda:1", True)])
def test_threads_are_in_the_key_on_a_cpu_only(device, equal):
    more = {kind: Resources(cpus=2) for kind in STAGE_VERSIONS}
    assert (all_keys(device=device) == all_keys(device=device, suite={"resources": more})) == equal


def test_a_job_runs_with_every_value_though_its_key_holds_few():
    plan = make_plan(given(**one(Grown, steps=2)))
    train = next(job for job in plan.jobs.values() if job.kind == "train")
    assert train.spec["protocol"]["lr"] == Protocol().lr
    assert "lr" not in train.identity["spec"]["protocol"]
    assert all(key == key_of(job.identity) for key, job in plan.jobs.items())
    assert all(key_of(json.loads(json.dumps(job.identity))) == key for key, job in plan.jobs.items())


def trained(ipcs, method, protocol):
    budget = Budget(ipc=ipcs, distillation_seeds=(0, 1), training_seeds=(0, 1))
    plan = make_plan(given(methods=(method,), protocol=protocol, suite={"budget": budget}))
    return plan, {ipc: {row.train for row in plan.rows if row.ipc == ipc} for ipc in ipcs}


NESTED_REDRAWN = type("NestedRedrawn", (Redrawn,), {"nested": True})


@pytest.mark.parametrize(
    ("method", "labels"),
    [
        (MethodPlan("fitted", Fitted, {}, "code"), "hard"),
        (MethodPlan("fitted", Fitted, {}, "code"), "soft"),
        (MethodPlan("fitted", Fitted, {}, "code"), "stored"),
        (MethodPlan("redrawn", NESTED_REDRAWN, {"every": 2}, "code"), "hard"),
        (MethodPlan("plain", Plain, {}, "code"), "stored"),
    ],
    ids=["hard labels", "soft labels", "stored labels", "redrawn", "not nested"],
)
def test_a_larger_ipc_trains_no_student_of_a_smaller_one_again(method, labels):
    _, small = trained((1, 10), method, Protocol(labels=labels))
    plan, large = trained((1, 10, 100), method, Protocol(labels=labels))
    assert small[1] == large[1]
    assert small[10] == large[10]
    assert not large[10] & large[100]
    if method.cls.nested:
        for row in plan.rows:
            job = plan.jobs[row.train]
            assert plan.jobs[job.deps["synthesize"][0]].spec["ipc"] == 100, "it is trained on the head of the largest"
            assert row.synthesize == job.deps["synthesize"][0]
            assert set(job.dependencies()) <= set(plan.jobs)


def test_students_of_heads_of_different_sets_have_different_keys():
    _, plain = trained((1, 10), MethodPlan("fitted", Fitted, {}, "code"), Protocol())
    _, edited = trained((1, 10), MethodPlan("fitted", Fitted, {}, "edited"), Protocol())
    assert not set.union(*plain.values()) & set.union(*edited.values())
    assert not plain[1] & plain[10]
