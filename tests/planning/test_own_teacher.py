"""A method may ask for a teacher of its own: which jobs that gives, who sees it, and when it is refused."""

import pytest
import yaml

from harness.core.config.protocol import Protocol
from harness.core.config.suite import Teacher
from harness.core.errors import UserError
from harness.planning.plan import MethodPlan
from harness.planning.planner import make_plan
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from tests.helpers.support import ROOT, tiny_suite_values
from tests.planning.test_plan import Plain, given


class Taught(Plain):
    """Has a teacher of its own."""

    needs = {"teacher"}

    class Config(Plain.Config):
        """Options."""

        teacher: str | None = "convnet3_bn"

    def own_teacher(self):
        return self.config.teacher


def planned(*configs, **changes):
    """Return the plan of methods of this config each, and their teachers' keys, in order."""
    methods = tuple(MethodPlan(f"taught{n}", Taught, config, "code") for n, config in enumerate(configs))
    plan = make_plan(given(methods=methods, **changes))
    made = {j.spec["method"]: j.deps["teacher"][0] for j in plan.jobs.values() if j.kind == "synthesize"}
    return plan, [made[m.name] for m in methods]


def test_methods_that_ask_for_the_same_network_share_a_job_with_the_suites_settings():
    settings = {"epochs": 7, "protocol": "plain", "holdout": 0.2, "min_share": 0.3}
    suite = {"teacher": Teacher(student="convnet3", **settings)}
    plan, (one, other, suites) = planned({}, {"steps": 2}, {"teacher": None}, suite=suite)
    assert one == other != suites
    assert plan.counts()["teacher"] == 2
    spec, suites_spec = plan.jobs[one].spec, plan.jobs[suites].spec
    assert spec["teacher"] == suites_spec["teacher"] | {"student": "convnet3_bn"}
    assert {k: v for k, v in spec.items() if k != "teacher"} == {k: v for k, v in suites_spec.items() if k != "teacher"}
    assert spec["teacher"].items() >= settings.items()
    assert plan.jobs[one].title == "teacher convnet3_bn"


def test_students_take_soft_labels_from_the_suites_teacher():
    for labels in ("soft", "stored"):
        plan, (own,) = planned({}, protocol=Protocol(labels=labels))
        asked = {
            key for job in plan.jobs.values() if job.kind in ("train", "label") for key in job.deps.get("teacher", ())
        }
        assert len(asked) == 1
        assert own not in asked


def test_a_network_that_is_the_suites_is_the_suites_teacher():
    _, (own, suites) = planned({"teacher": "convnet3"}, {"teacher": None})
    assert own == suites


def test_where_the_suites_has_weights_only_it_is_trained_for_a_hundred_epochs():
    suite = {"teacher": Teacher(weights="timm:resnet18", classes="c.txt")}
    plan, (own, suites) = planned({}, {"teacher": None}, suite=suite, teacher_fingerprint="w")
    assert plan.jobs[suites].spec["weights"] == "w"
    assert plan.jobs[own].spec["weights"] is None
    assert plan.jobs[own].spec["teacher"].items() >= {"student": "convnet3_bn", "epochs": 100}.items()
    assert planned({}, suite=suite)[1] == [own], "the weights are not in its key"


def suite_file(folder, **changes):
    values = tiny_suite_values() | changes
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def skip(path, teacher="convnet3_bn"):
    """Return why sre2l is skipped, with this option `teacher`."""
    found = resolve(make_request(suite=path, methods=["sre2l"], settings={"sre2l.teacher": teacher}))
    return found.plan_input.methods[0].skip


@pytest.mark.parametrize(("teacher", "whose"), [(None, "that of suite tiny"), ("convnet3", "its own")])
def test_a_teacher_without_batch_norm_skips_the_method_with_the_cure(tmp_path, teacher, whose):
    assert skip(suite_file(tmp_path), teacher) == (
        f"it needs a teacher with batch norm, but {whose}, convnet3, has none; set sre2l.teacher=convnet3_bn"
    )
    assert not skip(suite_file(tmp_path), "resnet10_bn")


def test_a_teacher_that_is_no_student_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"the teacher of method 'sre2l': unknown student 'convent3_bn'.*convnet3_bn"):
        skip(suite_file(tmp_path), "convent3_bn")


def test_the_suites_weights_are_not_looked_for_where_nobody_needs_them(tmp_path):
    classes = str(ROOT / "datasets" / "classes" / "digits.txt")
    path = suite_file(tmp_path, teacher={"weights": "gone.pt", "student": "convnet3", "classes": classes})
    assert not skip(path)
    with pytest.raises(UserError, match=r"gone.pt' does not exist"):
        resolve(make_request(suite=path, methods=["sre2l"], protocol="rded"))


def test_it_does_not_go_with_images_that_are_drawn_anew(tmp_path):
    plugin = tmp_path / "both.py"
    plugin.write_text(
        "from harness import Method, register_method\n\n\n"
        '@register_method("both")\nclass Both(Method):\n'
        '    title = reference = "x"\n    needs = {"teacher"}\n\n'
        '    def own_teacher(self):\n        return "convnet3_bn"\n\n'
        "    def redraw_every(self):\n        return 1\n"
    )
    found = resolve(make_request(suite=suite_file(tmp_path), methods=["both"], plugins=[str(plugin)]))
    assert "cannot have its own teacher" in found.plan_input.methods[0].skip
