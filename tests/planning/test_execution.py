"""How students are computed is part of their keys, as the device that a plan is for executes it."""

import pytest

from harness.core.errors import UserError
from harness.planning.planner import make_plan
from harness.planning.request import make_request
from harness.planning.resolve import resolve


def planned(device="cpu", **protocol):
    settings = {f"protocol.{name}": value for name, value in protocol.items()}
    request = make_request(suite="digits", methods=["random_real"], ipc=[1], seeds=[0], settings=settings)
    resolved = resolve(request, device)
    jobs = make_plan(resolved.plan_input).jobs.values()
    return resolved.protocol_changes, sorted(job.key for job in jobs if job.kind == "train")


def test_precision_and_compilation_change_the_key_of_a_training_and_are_told():
    told, keys = zip(*(planned(**p) for p in ({}, {"precision": "bfloat16"}, {"compiled": True})), strict=True)
    assert told == ("", "precision=bfloat16", "compiled=true")
    assert len({tuple(own) for own in keys}) == 3


@pytest.mark.parametrize(("device", "same"), [("cpu", "float32"), ("cuda", "bfloat16")])
def test_auto_has_the_key_of_what_it_is_on_the_device(device, same):
    assert planned(device, precision="auto") == planned(device, precision=same)


def test_only_what_differs_from_the_suite_is_told():
    """The suite digits itself changes idc's learning rate and flip."""
    assert planned(lr=0.123, flip=False)[0] == "lr=0.123"


def teacher_of(**settings):
    """The suite's teacher as it is planned, and what is told of the run's protocols."""
    given = {f"teacher.{name}": value for name, value in settings.items()}
    request = make_request(suite="digits", methods=["rded"], ipc=[1], seeds=[0], settings=given)
    resolved = resolve(request, "cpu")
    (job,) = (job for job in make_plan(resolved.plan_input).jobs.values() if job.kind == "teacher")
    return resolved.protocol_changes, job


def test_the_teacher_is_executed_as_the_command_line_says():
    plain, narrow, fused = (teacher_of(**s) for s in ({}, {"precision": "bfloat16"}, {"compiled": True}))
    assert [told for told, _ in (plain, narrow, fused)] == ["", "teacher.precision=bfloat16", "teacher.compiled=true"]
    assert len({job.key for _, job in (plain, narrow, fused)}) == 3
    assert narrow[1].spec["protocol"]["precision"] == "bfloat16"
    assert teacher_of(precision="float32") == plain


def test_what_a_teacher_is_belongs_to_the_suite():
    with pytest.raises(UserError, match=r"--set teacher.epochs: no such field.*Fields: precision, compiled"):
        teacher_of(epochs=3)
    with pytest.raises(UserError, match="precision"):
        teacher_of(precision="half")
