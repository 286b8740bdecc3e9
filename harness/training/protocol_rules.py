"""What no single field of a protocol tells: values that each pass on their own and make no sense together."""

from __future__ import annotations

from collections.abc import Iterator

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError

MOST_VALUES = 12_288
"""Values of an image that is whitened: 64 pixels in colour. The matrix has their square, 0.6 GB in float32."""


def check_whitening(num_values: int, where: str) -> None:
    """Refuse images that are too large to be whitened.

    Raises:
        UserError: names their values, and what to do.
    """
    if num_values > MOST_VALUES:
        raise UserError(
            f"{where}: whitening: zca supports images of at most {MOST_VALUES:,} values (64 x 64 pixels in colour); "
            f"these have {num_values:,}. Use another protocol, --set protocol.whitening=none, or a suite with smaller "
            "images."
        )


def misfits(protocol: Protocol) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) for each that makes no sense beside the others."""
    yield from _crops_and_rates(protocol)
    for field, rule in (("epochs", protocol.epochs), ("batch_by_ipc", protocol.batch_by_ipc)):
        bounds = [bound for bound, _ in rule.up_to] if rule else []
        if bounds != sorted(set(bounds)):
            yield field, f"{field}.up_to has the IPC bounds {bounds}; they must be strictly ascending"
    if protocol.labels == "stored" and protocol.labels_kept < 1:
        yield (
            "labels_kept",
            f"labels_kept {protocol.labels_kept:g} with labels: stored, which keeps one label per image, so there is "
            "nothing to prune. Remove labels_kept, or use labels: soft.",
        )
    if protocol.restart_optimizer and protocol.schedule != "steps":
        yield (
            "restart_optimizer",
            f"restart_optimizer with schedule: {protocol.schedule}, which has no milestones to restart at. Remove it, "
            "or use schedule: steps.",
        )
    if protocol.whitening != "none" and protocol.labels == "soft":
        yield (
            "whitening",
            f"whitening: {protocol.whitening} with labels: soft: the teacher would see whitened images, but it is "
            "trained on unwhitened ones. Use labels: hard or stored.",
        )


def _crops_and_rates(protocol: Protocol) -> Iterator[tuple[str, str]]:
    low, high = protocol.crop_scale or (1.0, 1.0)
    if not 0 < low <= high <= 1:
        yield "crop_scale", f"crop_scale {[low, high]} must be [low, high] with 0 < low <= high <= 1, or null"
    low, high = protocol.crop_ratio
    if not 0 < low <= high:
        yield "crop_ratio", f"crop_ratio {[low, high]} must be [low, high] with 0 < low <= high"
    if min(protocol.std) <= 0:
        yield "std", f"std {list(protocol.std)} must be above 0 in every channel"
    milestones = list(protocol.lr_milestones)
    if milestones != sorted(milestones) or any(not 0 < share <= 1 for share in milestones):
        yield "lr_milestones", f"lr_milestones {milestones} must be ascending shares of the epochs, in (0, 1]"
    if len(set(protocol.dsa)) < len(protocol.dsa):
        yield "dsa", f"dsa {list(protocol.dsa)} lists an operation twice; all operations are equally likely"


def why_alone(protocol: Protocol) -> str:
    """Return why trainings under a protocol cannot be stacked; empty where they can."""
    if protocol.compiled:
        return "a compiled network is one network"
    if protocol.labels == "stored" or (protocol.labels == "soft" and protocol.soft_loss != "kl"):
        return f"{protocol.labels} labels with loss {protocol.soft_loss}"
    return "batches of kept labels differ in size" if protocol.labels_kept < 1 else ""
