"""A protocol resolved for one distilled set: how many epochs, at which learning rate, evaluated when.

In: a `Protocol`, the images per class, the number of classes. Out: plain numbers. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Recipe:
    """What a trainer follows. Epochs count from 1.

    Attributes:
        epochs: passes over the distilled set.
        milestones: epochs after which the learning rate is multiplied by `lr_decay`; None: a cosine.
        eval_epochs: epochs after which the student is scored, ascending; the last one is `epochs`.
        lr: learning rate of the first epoch.
        lr_decay: factor at each milestone.
        weight_decay: on all parameters.
        batch_size: images a step.
        cosine: without milestones: share of a cosine's way from 1 to 0 that is gone.
        restarts: epochs that begin with a new optimiser.
    """

    epochs: int
    milestones: tuple[int, ...] | None
    eval_epochs: tuple[int, ...]
    lr: float
    lr_decay: float
    weight_decay: float
    batch_size: int
    cosine: float = 0.5
    restarts: frozenset[int] = frozenset()

    def lr_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 1."""
        if self.milestones is None:
            return self.lr * 0.5 * (1 + math.cos(math.pi * self.cosine * (epoch - 1) / self.epochs))
        return self.lr * self.lr_decay ** sum(milestone < epoch for milestone in self.milestones)


def make_recipe(protocol: Protocol, ipc: float, num_classes: int, student: str = "") -> Recipe:
    """Resolve a protocol for `ipc` images per class (a mean, where classes are unequal) of `num_classes` classes.

    Paper/Code: an evaluation every E // 100 epochs, which is more than 100 of them, or none at the end, unless 100
    divides E. Here: evaluation i of n comes after epoch floor(i * E / n): exactly min(n, E) of them, the last at the
    end, because the best of more evaluations is another number. Equal wherever n divides E, as in all of idc.

    Paper/Code of rded: IPC 1, 10 and 50 have a batch size, any other gives 0 and a crash. Here: an IPC between them
    takes the next larger one's, one above 50 that of 50 (`batch_by_ipc`).

    Raises:
        UserError: the rule for 100 classes leaves no epoch, or `ipc` or `num_classes` is not above 0.

    Source: golden/protocol.json, "epoch_rule" and "overrides"; golden/rded.json, "lr_schedule", "validation" and
    "batch_size_rule" and "special_case" (`batch_by_student`).
    """
    if ipc <= 0 or num_classes < 1:
        raise UserError(f"{ipc} images per class of {num_classes} classes: both must be above 0")
    epochs = protocol.epochs.at(ipc)
    if num_classes == 100 and protocol.scale_epochs_at_100_classes:
        epochs = 2 * epochs // 3 // 100 * 100
        if epochs == 0:
            raise UserError(
                f"protocol {protocol.name!r}: {protocol.epochs.at(ipc)} epochs become 0 at 100 classes (two thirds, "
                "rounded down to a multiple of 100). Set scale_epochs_at_100_classes to false."
            )
    many = num_classes > 100 and protocol.switch_above_100_classes
    batch = _by_student(protocol.batch_by_student, student, _batch_size(protocol, ipc, num_classes))
    milestones = None
    if protocol.schedule == "steps":
        milestones = tuple(math.floor(share * epochs + 1e-9) for share in protocol.lr_milestones)
    return Recipe(
        epochs=epochs,
        milestones=milestones,
        eval_epochs=_evaluated(protocol, epochs),
        lr=0.1 if many else _by_student(protocol.lr_by_student, student, protocol.lr),
        lr_decay=protocol.lr_decay,
        weight_decay=1e-4 if many else protocol.weight_decay,
        batch_size=max(128, batch) if many else batch,
        cosine=1.0 if protocol.schedule == "cosine" else 0.5,
        restarts=frozenset(m + 1 for m in milestones or ()) if protocol.restart_optimizer else frozenset(),
    )


def base_name(student: str) -> str:
    """Return a student's name without its suffixes, or the tag of a timm model's pretrained weights.

    "resnet18_cifar_bn" -> "resnet18"; "timm:vit_base_patch16_224.augreg_in21k" -> "timm:vit_base_patch16_224".
    """
    if student.startswith("timm:"):
        return student.partition(".")[0]
    while student.endswith(("_bn", "_cifar")):
        student = student.removesuffix("_bn").removesuffix("_cifar")
    return student


def _by_student(table: Mapping[str, Number], student: str, otherwise: Number) -> Number:
    """Return a student's row: that of its whole name, else that of its base name."""
    return table.get(student, table.get(base_name(student), otherwise))


def _batch_size(protocol: Protocol, ipc: float, num_classes: int) -> int:
    if protocol.batch_by_ipc is None:
        return protocol.batch_size
    batch = protocol.batch_by_ipc.at(ipc) * (2 if num_classes in (100, 1000) else 1)
    return max(1, min(batch, math.floor(ipc * num_classes)))


def _evaluated(protocol: Protocol, epochs: int) -> tuple[int, ...]:
    """Return the epochs, from 1, after which the student is scored."""
    if protocol.evaluate_every is None:
        return eval_epochs(epochs, protocol.num_evaluations)
    every, after = protocol.evaluate_every, protocol.evaluate_after * epochs
    return tuple(e for e in range(1, epochs + 1) if e == epochs or (e % every == 0 and e - 1 > after))


def eval_epochs(epochs: int, num_evaluations: int) -> tuple[int, ...]:
    """Return up to `num_evaluations` evenly spaced epochs from 1 to `epochs`, ascending; the last is `epochs`."""
    num = min(num_evaluations, epochs)
    return tuple(i * epochs // num for i in range(1, num + 1))
