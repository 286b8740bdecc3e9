"""A plan is pure, its keys hold what can change a result, and nothing else."""

import sys

import pytest
from pydantic import Field

from harness import AFTER_FIT, UNHASHED, DistilledSet, Method
from harness.core.classes import ClassInfo
from harness.core.config.generator import GeneratorSpec, PriorTraining
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Budget, Resources, Suite, Teacher
from harness.core.errors import UserError
from harness.jobs.job import class_groups
from harness.planning.plan import MethodPlan, PlanInput
from harness.planning.planner import make_plan

CLASSES = tuple(ClassInfo(str(i), i, str(i)) for i in range(4))


class Plain(Method):
    """Not nested, no fit."""

    name = "plain"

    class Config(Method.Config):
        """Options."""

        steps: int = 1

    def synthesize(self, task, state, ipc):
        return DistilledSet({})


class Fitted(Plain):
    """Nested, fitted in groups of two classes from the generator."""

    name = "fitted"
    nested = True
    needs = {"class_conditional_generator", "features"}

    def group_size(self):
        return 2

    def fit(self, task):
        return {}


class Everything(Method):
    """The reference row."""

    name = "everything"
    all_data = True


def given(**changes):
    suite = Suite(
        name="s",
        version=1,
        source={"kind": "digits"},
        classes="c.txt",
        image_size=16,
        budget=Budget(ipc=(1, 10), distillation_seeds=(0, 1), training_seeds=(0, 1, 2)),
        students=("convnet3",),
        teacher=Teacher(student="convnet3", epochs=1),
        generators={"class_conditional": GeneratorSpec(train=PriorTraining())},
    )
    suite = suite.model_copy(update=changes.pop("suite", {}))
    values = {
        "suite": suite,
        "classes": CLASSES,
        "methods": (MethodPlan("plain", Plain, {}, "code"),),
        "students": ("convnet3", "resnet18"),
        "protocol": Protocol(),
        "teacher_protocol": Protocol(),
        "data_fingerprint": "data",
    }
    return PlanInput(**{**values, **changes})


def keys(kind, **changes):
    return {key for key, job in make_plan(given(**changes)).jobs.items() if job.kind == kind}


def test_methods_times_ipcs_times_students_times_seeds_become_rows():
    plan = make_plan(given())
    assert len(plan.rows) == 2 * 2 * 2 * 3
    assert plan.counts() == {"prior": 0, "teacher": 0, "fit": 0, "synthesize": 4, "label": 0, "train": 24}


def test_a_nested_method_synthesises_its_largest_set_only_and_fits_once_per_group():
    plan = make_plan(given(methods=(MethodPlan("fitted", Fitted, {}, "code"),)))
    assert plan.counts() == {"prior": 1, "teacher": 1, "fit": 4, "synthesize": 2, "label": 0, "train": 24}
    made = [job for job in plan.jobs.values() if job.kind == "synthesize"]
    assert {job.spec["ipc"] for job in made} == {10}
    assert all(len(job.deps["fit"]) == 2 for job in made)


def test_the_reference_row_trains_on_all_data_once_per_student_and_seed():
    plan = make_plan(given(methods=(MethodPlan("everything", Everything, {}, "code"),)))
    assert plan.counts()["train"] == len(plan.rows) == 6
    assert {row.ipc for row in plan.rows} == {None}


def test_no_two_sets_of_a_method_share_a_training_stream_and_methods_do():
    """A method that makes one set for every seed would else agree with itself."""
    methods = (MethodPlan("plain", Plain, {}, "c"), MethodPlan("fitted", Fitted, {}, "c"))
    plan = make_plan(given(methods=methods))
    streams = {}
    for row in plan.rows:
        key = (row.distillation_seed, row.training_seed)
        streams.setdefault(key, set()).add(plan.jobs[row.train].spec["seed"])
    assert all(len(found) == 1 for found in streams.values()), "pairs of seeds are common to methods"
    assert len(set.union(*streams.values())) == len(streams) == 6
    assert all(streams[0, seed] == {seed} for seed in (0, 1, 2))


def test_a_method_that_cannot_run_keeps_its_rows_with_the_reason():
    plan = make_plan(given(methods=(MethodPlan("ghost", skip="no generator"),)))
    assert not plan.jobs
    assert {row.skip for row in plan.rows} == {"no generator"}


def test_every_job_stands_after_those_that_it_needs():
    plan = make_plan(given(methods=(MethodPlan("fitted", Fitted, {}, "c"), MethodPlan("plain", Plain, {}, "c"))))
    seen: set[str] = set()
    for key, job in plan.jobs.items():
        assert set(job.dependencies()) <= seen
        seen.add(key)


@pytest.mark.parametrize(
    "change",
    [
        {"methods": (MethodPlan("plain", Plain, {"steps": 2}, "code"),)},
        {"methods": (MethodPlan("plain", Plain, {}, "edited code"),)},
        {"data_fingerprint": "other data"},
        {"classes": CLASSES[::-1]},
        {"device": "cuda"},
        {"suite": {"image_size": 32}},
        {"suite": {"resources": {"synthesize": Resources(cpus=2)}}},
    ],
    ids=["config", "code", "data", "class order", "device", "image size", "threads"],
)
def test_what_can_change_the_images_changes_the_key(change):
    assert not keys("synthesize") & keys("synthesize", **change)


@pytest.mark.parametrize(
    "change",
    [
        {"suite": {"name": "renamed"}},
        {"suite": {"title": "other words"}},
        {"suite": {"resources": {"synthesize": Resources(memory_gb=8)}}},
        {"protocol": Protocol(lr=0.5)},
        {"students": ("resnet18",)},
    ],
    ids=["suite name", "title", "memory", "protocol", "students"],
)
def test_what_cannot_change_the_images_keeps_the_key(change):
    assert keys("synthesize") == keys("synthesize", **change)


def test_the_protocol_and_the_student_are_in_the_key_of_a_training():
    assert not keys("train") & keys("train", protocol=Protocol(lr=0.5))
    assert keys("train", students=("resnet18",)) < keys("train")


def test_a_smaller_request_is_a_part_of_a_larger_one():
    small = {"budget": Budget(ipc=(1, 10), distillation_seeds=(0,), training_seeds=(0,))}
    assert keys("train", suite=small) < keys("train")


def test_the_last_class_group_is_the_rest():
    assert [len(g) for g in class_groups(CLASSES, 3)] == [3, 1]
    assert class_groups(CLASSES, None) == [CLASSES]


def test_planning_imports_no_torch():
    import subprocess

    modules = "harness.planning.planner, harness.planning.resolve, harness.execution.scheduler"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Redrawn(Method):
    """Fitted; draws its images anew while students train."""

    name = "redrawn"
    needs = {"class_conditional_generator"}

    class Config(Method.Config):
        """Options."""

        steps: int = 1
        guidance: float = Field(1.0, json_schema_extra=AFTER_FIT)
        every: int | None = Field(None, json_schema_extra=UNHASHED)

    def redraw_every(self):
        return self.config.every

    def fit(self, task):
        return {}


def redrawn(**config):
    return {"methods": (MethodPlan("redrawn", Redrawn, {"steps": 1, "guidance": 1.0, "every": None} | config, "code"),)}


def test_an_option_that_the_fit_does_not_look_at_fits_nothing_anew():
    assert keys("fit", **redrawn()) == keys("fit", **redrawn(guidance=2.0))
    assert not keys("synthesize", **redrawn()) & keys("synthesize", **redrawn(guidance=2.0))
    assert not keys("fit", **redrawn()) & keys("fit", **redrawn(steps=2))


def test_redrawing_changes_the_trainings_alone_and_gives_them_what_they_draw_with():
    assert keys("synthesize", **redrawn()) == keys("synthesize", **redrawn(every=2))
    assert not keys("train", **redrawn(every=1)) & keys("train", **redrawn(every=2))
    resources = {"synthesize": Resources(cpus=2, memory_gb=3), "train": Resources(gpus=1, memory_gb=4)}
    plan = make_plan(given(**redrawn(every=2), suite={"resources": resources}))
    job = next(job for job in plan.jobs.values() if job.kind == "train")
    assert set(job.deps) == {"synthesize", "fit", "class_conditional"}
    assert job.resources == Resources(cpus=2, gpus=1, memory_gb=7)


def test_soft_labels_bring_the_teacher_into_every_training():
    soft = {"protocol": Protocol(labels="soft")}
    plan = make_plan(given(**soft))
    assert plan.counts()["teacher"] == 1
    assert all("teacher" in job.deps for job in plan.jobs.values() if job.kind == "train")


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (Protocol(labels="stored"), r"'redrawn' draws new images .* stores one soft label per image"),
        (
            Protocol(labels="soft", labels_kept=0.1),
            r"'redrawn' draws new .* a fraction of its soft labels \(labels_kept 0.1\)",
        ),
    ],
)
def test_labels_that_are_kept_are_of_images_that_stay(protocol, message):
    with pytest.raises(UserError, match=message):
        make_plan(given(**redrawn(every=1), protocol=protocol))
    assert make_plan(given(**redrawn(), protocol=protocol)).counts()["train"]
