"""The labels of a given set of tensors: numbers, one-hot, soft, or none at all.

In: labels as they were published. Out: one class number an image, and soft labels where there are any. Shapes: N images,
C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import UserError
from harness.data.imported.layouts import RawSet

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class GivenLabels:
    """Labels of N images.

    Attributes:
        hard_N: int64, a class number each.
        soft_NC: logits or probabilities, columns in the order of the numbers, looked at by `checked_soft` before they are
            used; None: there are none.
        remarks: what was taken for what.
    """

    hard_N: torch.Tensor
    soft_NC: torch.Tensor | None = None
    remarks: tuple[str, ...] = ()


def given_labels(raw: RawSet, num_classes: int, where: str, *, in_order: bool) -> GivenLabels:
    """Tell the class of each image of a set.

    Args:
        raw: the set.
        num_classes: C.
        where: the file, for messages.
        in_order: images without labels stand class after class, equally many of each: the user said which order.

    Raises:
        UserError: labels have another shape, type or range, or there are none and nothing says the order.
    """
    num = len(raw.images)
    soft, labels = raw.soft, raw.labels
    if labels is None:
        return _without_labels(soft, num, num_classes, where, in_order)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1:
        return GivenLabels(_numbers(labels, num, num_classes, where), soft)
    if tuple(labels.shape) != (num, num_classes):
        raise _misfit(labels, num, num_classes, where)
    if bool(((labels == 0) | (labels == 1)).all() and (labels.sum(dim=1) == 1).all()):
        return GivenLabels(labels.int().argmax(dim=1), soft, ("labels are one-hot",))
    if soft is not None or not labels.is_floating_point():
        raise _misfit(labels, num, num_classes, where)
    return _of_soft(checked_soft(labels, num, num_classes, where), num_classes)


def _without_labels(soft: torch.Tensor | None, num: int, num_classes: int, where: str, in_order: bool) -> GivenLabels:
    if soft is not None:
        return _of_soft(checked_soft(soft, num, num_classes, where), num_classes)
    if not in_order or num % num_classes:
        raise UserError(
            f"{where} has {num} images but no labels. Pass the file of labels after it; or, if the images are sorted "
            f"by class with the same number for each of the {num_classes} classes, give the class order: "
            "--class-order labels, sorted, or a file."
        )
    return GivenLabels(
        _by_place(num, num_classes), None, (_placed(num, num_classes) + ", because there are no labels",)
    )


def _of_soft(soft_NC: torch.Tensor, num_classes: int) -> GivenLabels:
    """Tell the classes of images from soft labels: the likeliest, or the place, where most likeliest ones agree with it.

    Optimised labels may come to prefer another class than the one that an image was made for; DATM, TESLA and DD-Ranking
    have the images class after class.
    """
    num, likeliest = len(soft_NC), soft_NC.argmax(dim=1)
    counts = likeliest.bincount(minlength=num_classes)
    if num % num_classes == 0 and bool((counts != num // num_classes).any()):
        placed = _by_place(num, num_classes)
        share = float((placed == likeliest).float().mean())
        if share > 0.5:
            told = f"{_placed(num, num_classes)}; {100 * share:.1f} % of the soft labels prefer that class"
            return GivenLabels(placed, soft_NC, (told,))
    return GivenLabels(likeliest, soft_NC, ("labels are soft; each image gets its most probable class",))


def _by_place(num: int, num_classes: int) -> torch.Tensor:
    import torch

    return torch.arange(num_classes).repeat_interleave(num // num_classes)


def _placed(num: int, num_classes: int) -> str:
    return f"images are assumed to be sorted by class, {num // num_classes} per class"


def checked_soft(soft: torch.Tensor, num: int, num_classes: int, where: str) -> torch.Tensor:
    """Return soft labels that are one finite row for each image.

    Raises:
        UserError: they are not.
    """
    import torch

    if tuple(soft.shape) != (num, num_classes) or not soft.is_floating_point():
        raise UserError(
            f"{where}: soft_labels are {soft.dtype} {list(soft.shape)}; expected float [{num}, {num_classes}], one "
            "row per image and one column per class of the suite."
        )
    if not torch.isfinite(soft).all():
        raise UserError(f"{where}: soft labels contain NaN or infinite values.")
    return soft


def _numbers(labels: torch.Tensor, num: int, num_classes: int, where: str) -> torch.Tensor:
    import torch

    whole = labels.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    if len(labels) != num or not whole:
        raise _misfit(labels, num, num_classes, where)
    labels = labels.long()
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        wrong = labels[outside].unique()[:5].tolist()
        raise UserError(
            f"{where}: labels {wrong} are out of range; the suite has {num_classes} classes, 0 to {num_classes - 1}."
        )
    return labels


def _misfit(labels: torch.Tensor, num: int, num_classes: int, where: str) -> UserError:
    return UserError(
        f"{where}: labels are {labels.dtype} {list(labels.shape)}; expected integers [{num}], one per image, or "
        f"one-hot or soft labels [{num}, {num_classes}]."
    )
