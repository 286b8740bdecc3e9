"""Protocols by name, and what happens to overrides."""

import pytest

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.training import protocols, register_protocol, resolve_protocol


def test_idc_is_the_default_protocol():
    assert resolve_protocol("idc") == Protocol()


def test_plain_is_idc_without_any_augmentation():
    plain = resolve_protocol("plain")
    fields = [field for field in Protocol.model_fields if getattr(plain, field) != getattr(Protocol(), field)]
    changed = {field: getattr(plain, field) for field in fields}
    assert changed == {
        "name": "plain",
        "cutmix_probability": 0.0,
        "crop_scale": None,
        "flip": False,
        "color_jitter": 0.0,
        "pca_lighting": 0.0,
    }


def test_the_user_wins_over_the_suite_and_the_suite_over_the_protocol():
    protocol = resolve_protocol("idc", {"lr": 0.03, "batch_size": 32}, {"lr": "0.05"})
    assert (protocol.lr, protocol.batch_size, protocol.momentum) == (0.05, 32, 0.9)


def test_rows_for_a_student_are_added_to_the_protocols_own():
    ours = resolve_protocol("rded", {"lr_by_student": {"convnet3": 0.002}}, {"lr_by_student": {"timm:vgg11": 0.1}})
    known = resolve_protocol("rded").lr_by_student
    assert ours.lr_by_student == {**known, "convnet3": 0.002, "timm:vgg11": 0.1}
    assert resolve_protocol("rded", {"batch_by_student": {"convnet3": 25}}).batch_by_student == {"convnet3": 25}
    with pytest.raises(UserError, match="lr_by_student"):
        resolve_protocol("rded", {"lr_by_student": 0.1})


def test_lists_of_a_yaml_file_are_taken():
    protocol = resolve_protocol("idc", {"crop_scale": [0.7, 1.0], "epochs": {"up_to": [[10, 24], [50, 6]], "above": 7}})
    assert protocol.crop_scale == (0.7, 1.0)
    assert [protocol.epochs.at(ipc) for ipc in (10, 50, 125.7)] == [24, 6, 7]


def test_an_unknown_field_gets_the_closest_one_and_all_of_them():
    with pytest.raises(
        UserError, match=r"set by the suite: no field 'crop_scal'. Did you mean 'crop_scale'\? Fields: labels"
    ):
        resolve_protocol("idc", {"crop_scal": None})


@pytest.mark.parametrize("field", ["name", "version"])
def test_the_identity_of_a_protocol_cannot_be_overridden(field):
    with pytest.raises(UserError, match=f"no field '{field}'"):
        resolve_protocol("idc", {}, {field: 2})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lr", -1, r"set by the command line: lr: .*greater than 0 \(got -1\)"),
        ("precision", "fp16", r"precision: .*'float32', 'bfloat16' or 'auto' \(got 'fp16'\)"),
        ("crop_scale", [0.5], r"crop_scale.1: field required"),
        ("epochs", {"up_to": []}, r"epochs.above: field required"),
        ("crop_scale", [0.9, 0.5], r"crop_scale \[0.9, 0.5\] must be \[low, high\]"),
        ("crop_scale", [0.5, 1.5], "crop_scale"),
        ("crop_ratio", [0.0, 1.0], "crop_ratio"),
        ("std", [0.2, 0.0, 0.2], "std"),
        ("lr_milestones", [0.8, 0.5], "lr_milestones"),
        ("epochs", {"up_to": [[50, 6], [10, 24]], "above": 7}, "must be strictly ascending"),
    ],
)
def test_a_bad_value_is_told_in_one_line_with_its_place(field, value, message):
    with pytest.raises(UserError, match=message) as caught:
        resolve_protocol("idc", {}, {field: value})
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_an_unknown_protocol_gets_the_closest_one():
    with pytest.raises(UserError, match=r"unknown protocol 'plane'\. Did you mean 'plain'"):
        resolve_protocol("plane")


def test_a_registered_protocol_is_found_and_checked(monkeypatch):
    monkeypatch.setattr(protocols, "_items", dict(protocols._items))
    register_protocol(Protocol(name="mine", lr=0.5))
    assert resolve_protocol("mine", {"batch_size": 8}).lr == 0.5
    with pytest.raises(UserError, match="protocol 'wrong': crop_scale"):
        register_protocol(Protocol(name="wrong", crop_scale=(0.9, 0.5)))
