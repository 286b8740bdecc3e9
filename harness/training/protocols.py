"""Training protocols by name, and how a suite and a user change their fields.

In: a protocol's name and overrides. Out: a checked `Protocol`. No torch. Source of the defaults: golden/protocol.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from harness.core.config.protocol import HARD_LABELS, NO_AUGMENTATION, Protocol
from harness.core.errors import UserError, did_you_mean
from harness.core.registry import Registry

protocols: Registry[Protocol] = Registry("protocol")


_IDENTITY = ("name", "version")
"""Fields that say which protocol it is; nobody overrides them."""


_BY_STUDENT = ("lr_by_student", "batch_by_student")
"""Tables to which overrides add rows: a suite that changes one student's row keeps the others'."""


def register_protocol(protocol: Protocol) -> Protocol:
    """Make a protocol available under its own name.

    Raises:
        UserError: a field cannot be right, such as a crop scale above 1.
    """
    _check(protocol, f"protocol {protocol.name!r}")
    return protocols.register(protocol.name)(protocol)


def resolve_protocol(
    name: str, suite_overrides: Mapping[str, Any] | None = None, user_overrides: Mapping[str, Any] | None = None
) -> Protocol:
    """Return a protocol with the suite's changes and then the user's.

    Args:
        name: a registered protocol, such as "idc".
        suite_overrides: field -> value, what the suite changes in this protocol.
        user_overrides: field -> value, what the command line changes; wins over the suite.

    Raises:
        UserError: the protocol or a field is unknown, or a value is refused.
    """
    protocol = protocols.get(name)
    for author, overrides in (("the suite", suite_overrides or {}), ("the command line", user_overrides or {})):
        protocol = _override(protocol, overrides, f"protocol {name!r}, set by {author}")
    return protocol


def _override(protocol: Protocol, overrides: Mapping[str, Any], where: str) -> Protocol:
    allowed = [field for field in Protocol.model_fields if field not in _IDENTITY]
    for key in overrides:
        if key not in allowed:
            raise UserError(
                f"{where}: no field {key!r}.{did_you_mean(str(key), allowed)} Fields: {', '.join(allowed)}."
            )
    values = protocol.model_dump()
    rows = {f: {**values[f], **overrides[f]} for f in _BY_STUDENT if isinstance(overrides.get(f), Mapping)}
    try:
        changed = Protocol.model_validate({**values, **overrides, **rows})
    except ValidationError as error:
        raise UserError(f"{where}: {'; '.join(map(_describe, error.errors()))}") from None
    _check(changed, where)
    return changed


def _describe(problem: Any) -> str:
    """One pydantic problem as "field: what was expected (got ...)"."""
    place, message = ".".join(map(str, problem["loc"])), str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]} (got {problem['input']!r})"


def _check(protocol: Protocol, where: str) -> None:
    """Refuse values that each pass on their own and make no sense together."""
    low, high = protocol.crop_scale or (1.0, 1.0)
    if not 0 < low <= high <= 1:
        raise UserError(f"{where}: crop_scale {[low, high]} must be [low, high] with 0 < low <= high <= 1, or null")
    low, high = protocol.crop_ratio
    if not 0 < low <= high:
        raise UserError(f"{where}: crop_ratio {[low, high]} must be [low, high] with 0 < low <= high")
    if min(protocol.std) <= 0:
        raise UserError(f"{where}: std {list(protocol.std)} must be above 0 in every channel")
    milestones = list(protocol.lr_milestones)
    if milestones != sorted(milestones) or any(not 0 < share <= 1 for share in milestones):
        raise UserError(f"{where}: lr_milestones {milestones} must be ascending shares of the epochs, in (0, 1]")
    if protocol.labels == "stored" and protocol.labels_kept < 1:
        raise UserError(
            f"{where}: labels_kept {protocol.labels_kept:g} with labels: stored, which keeps one label an image: there is "
            "nothing to prune. Leave labels_kept out, or take labels: soft."
        )
    for field, rule in (("epochs", protocol.epochs), ("batch_by_ipc", protocol.batch_by_ipc)):
        bounds = [bound for bound, _ in rule.up_to] if rule else []
        if bounds != sorted(set(bounds)):
            raise UserError(f"{where}: {field}.up_to has the IPC bounds {bounds}; they must ascend without repeats")


_OF_SOFT_LABELS = ("temperature", "soft_loss", "labels_kept")


def unused_settings(protocol: Protocol, fields: Iterable[str]) -> list[str]:
    """Return a line for each field that a user gave a value and that this protocol does not use."""
    if protocol.labels == "hard":
        return [f"--set protocol.{f} has no effect: the labels are hard" for f in fields if f in _OF_SOFT_LABELS]
    if protocol.soft_loss == "gift" and "temperature" in fields:
        return ["--set protocol.temperature has no effect: soft_loss gift compares logits as they are"]
    return []


_NO_AUGMENTATION = {
    "cutmix_probability": 0.0,
    "patch_shuffle": 1,
    "crop_scale": None,
    "flip": False,
    "color_jitter": 0.0,
    "pca_lighting": 0.0,
}


def without_augmentation(protocol: Protocol) -> Protocol:
    """Return the protocol without augmentation and CutMix."""
    return protocol.model_copy(update=_NO_AUGMENTATION)


register_protocol(Protocol.model_validate({"name": "idc"}))


register_protocol(Protocol.model_validate({"name": "plain", **_NO_AUGMENTATION}))


_RDED = {
    "version": 2,  # 2: timm names with a tag have the learning rate of their model; 1 gave them 0.001
    "labels": "soft",
    "temperature": 20.0,
    "epochs": {"up_to": [], "above": 300},
    "scale_epochs_at_100_classes": False,
    "switch_above_100_classes": False,
    "evaluate_every": 10,
    "evaluate_after": 0.8,
    "optimizer": "adamw",
    "lr": 0.001,
    "lr_by_student": {
        "timm:vgg11": 0.0005,
        "timm:efficientnet_b0": 0.002,
        "timm:mobilenetv2_100": 0.0025,
        "alexnet": 0.0001,
        "timm:vit_base_patch16_224": 0.0001,
        "timm:swinv2_tiny_window8_256": 0.0001,
    },
    "schedule": "half_cosine",
    "weight_decay": 0.01,
    "decay_matrices_only": True,
    "batch_by_ipc": {"up_to": [[1, 10], [10, 50]], "above": 100},
    "patch_shuffle": 2,
    "crop_scale": (0.5, 1.0),
    "color_jitter": 0.0,
    "pca_lighting": 0.0,
    "test_margin": True,
}
"""Source: golden/rded.json. Suites of 32 pixels override patch_shuffle 1 and crop_scale null, as the authors' scripts;
cifar100_lt has its "special_case" for ConvNet-3, whose teacher is a ConvNet-3 there.

Paper/Code: a student without a learning rate in the table gets 0 and never learns. Here: it gets `lr`, as most have.
Paper/Code: a second forward pass in train mode, for logging, updates batch-norm statistics twice a step. Here: one.
Paper/Code: what is left of an image whose side f does not divide is cut off. Here: it stays where it is.
"""


register_protocol(Protocol.model_validate({"name": "rded", **_RDED}))


def variants(protocol: Protocol) -> dict[str, Protocol]:
    """Return the protocols under which more students are trained for the scores of a run under `protocol`."""
    found = {NO_AUGMENTATION: without_augmentation(protocol)}
    if protocol.labels != "hard":
        found[HARD_LABELS] = protocol.model_copy(update={"labels": "hard"})
    return found
