"""Train a teacher on the real training split and refuse one that has not learned.

A teacher that calls classes by other labels makes every student fall to chance without an error (docs/protocols.md,
"Teachers"), so it is scored on a hold-out of the training split, class by class, before anything uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.core.classes import ClassInfo
from harness.core.config.protocol import ByIpc, Protocol
from harness.core.config.suite import Teacher
from harness.core.errors import UserError
from harness.data.rows import ImageRows, as_rows
from harness.training.evaluation import predict
from harness.training.trainer import train_student

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TeacherScores:
    """How a teacher does on the hold-out.

    Attributes:
        top1: percent.
        confusion: [C, C] counts, true class down, called class across.
    """

    top1: float
    confusion: Tensor


def train_teacher(
    teacher: Teacher,
    protocol: Protocol,
    rest: tuple[Tensor | ImageRows, Tensor],
    held: tuple[Tensor | ImageRows, Tensor],
    *,
    num_classes: int,
    device: str | torch.device,
    report: Callable[[str, int, int, str], None],
) -> tuple[nn.Module, TeacherScores]:
    """Train the teacher's student architecture with the suite's protocol for the teacher's epochs.

    Args:
        rest: (images uint8 [N, 3, S, S], a tensor or rows; labels [N]) to train on.
        held: the same, to score on.
    """
    assert teacher.student is not None
    assert teacher.epochs is not None
    epochs = ByIpc(up_to=(), above=teacher.epochs)
    changes = {"epochs": epochs, "num_evaluations": 1, "scale_epochs_at_100_classes": False}
    model, _ = train_student(
        student=teacher.student,
        protocol=protocol.model_copy(update=changes),
        train_images=rest[0],
        train_labels=rest[1],
        test_images=held[0],
        test_labels=held[1],
        num_classes=num_classes,
        seed=0,
        device=device,
        report=report,
    )
    return model, score_teacher(model, protocol, held, num_classes=num_classes, device=device)


def score_teacher(
    model: nn.Module,
    protocol: Protocol,
    held: tuple[Tensor | ImageRows, Tensor],
    *,
    num_classes: int,
    device: str | torch.device,
) -> TeacherScores:
    """Score a network, whose outputs are the suite's classes, on held-out images, normalised as `protocol` does."""
    called = predict(model.to(device), as_rows(held[0], device), protocol).argmax(dim=1).cpu()
    truth = held[1].cpu()
    confusion = torch.zeros(num_classes, num_classes, dtype=torch.long)
    confusion.index_put_((truth, called), torch.ones(len(called), dtype=torch.long), accumulate=True)
    return TeacherScores(100 * (called == truth).float().mean().item(), confusion)


def check_teacher(
    scores: TeacherScores, classes: tuple[ClassInfo, ...], name: str, min_share: float, full_accuracy: float | None
) -> None:
    """Refuse a teacher that has not learned, or whose labels are those of other classes.

    It needs `min_share` of the suite's stated full-data accuracy; where none is stated, it must be clearly better than
    chance (`least_right`), unless `min_share` is 0. And no classes may be exchanged: called by each other's names more
    often than not, which passes for a good score among many classes.

    Raises:
        UserError: names the classes.
    """
    for circle in exchanged(scores.confusion):
        names = [classes[i].id for i in circle]
        told = ", ".join(f"{a} as {b!r}" for a, b in zip(names, [*names[1:], names[0]], strict=True))
        raise UserError(
            f"teacher {name} has swapped labels ({len(names)} classes): on real images it predicts {told}. Its soft "
            "labels would be wrong. Set the class list to the label order of its weights, or let the run train a teacher."
        )
    more = ""
    if full_accuracy is not None:
        least, enough = min_share * full_accuracy, scores.top1 >= min_share * full_accuracy
        why = f"{min_share:g} of the suite's full-data accuracy"
    else:
        num, needed = int(scores.confusion.sum()), least_right(scores.confusion)
        least, enough = 100 * needed / num, min_share == 0 or int(scores.confusion.diagonal().sum()) >= needed
        why = f"it is not clearly better than chance on {num:,} images, and the suite has no full_accuracy"
        more = " To accept it anyway, set `min_share: 0` under `teacher`."
    if enough:
        return
    disagree = []
    for c, row in zip(classes, scores.confusion, strict=True):
        most = int(row.argmax())
        if row.sum() and most != c.label:
            disagree.append(f"{c.id} is predicted as {classes[most].id}")
    raise UserError(
        f"teacher {name} scores {scores.top1:.1f} % on the real hold-out; required: at least {least:.1f} % ({why}). "
        f"Classes that disagree: {', '.join(disagree[:10]) or 'none'}. Train it for more epochs, or check its class "
        f"order.{more}"
    )


def least_right(confusion: Tensor) -> int:
    """Return the right calls from which on a teacher is clearly better than chance.

    Chance is what calling every image the largest class scores. Clearly better is: above it in a one-sided binomial test
    at 1 %, and by as much again, or by a tenth of what is missing to 100 % where that is less (two classes: 55 %; ten:
    19 %; a thousand: 0.2 %). A hold-out too small for the test asks for all images.

    Args:
        confusion: [C, C] counts, true class down, called class across.
    """
    from scipy import stats

    num = int(confusion.sum())
    chance = int(confusion.sum(dim=1).max()) / num
    by_size = math.ceil(num * (chance + min(chance, (1 - chance) / 10)) - 1e-9)
    return min(num, max(by_size, int(stats.binom.ppf(0.99, num, chance)) + 1))


ENOUGH = 5
"""Held-out images of a class from which on their calls say something about its label."""


def exchanged(confusion: Tensor) -> list[list[int]]:
    """Return circles of classes each of which is called the next one's name in more than half of its images.

    A weak teacher also mistakes a class for another one; that both are mistaken for each other, most of the time, is
    what an exchanged label looks like. Classes with fewer than five images say nothing: chance would.

    Args:
        confusion: [C, C] counts, true class down, called class across.
    """
    most = confusion.argmax(dim=1)
    num = confusion.sum(dim=1)
    often = (confusion.gather(1, most[:, None])[:, 0] * 2 > num) & (num >= ENOUGH)
    leads = {i: int(m) for i, m in enumerate(most) if often[i] and int(m) != i}
    circles, seen = [], set()
    for start in leads:
        path: list[int] = []
        at = start
        while at in leads and at not in seen:
            seen.add(at)
            path.append(at)
            at = leads[at]
        if at in path:
            circles.append(path[path.index(at) :])
    return circles
