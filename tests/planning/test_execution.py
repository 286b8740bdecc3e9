"""How students are computed is part of their keys, as the device that a plan is for executes it."""

import pytest

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
