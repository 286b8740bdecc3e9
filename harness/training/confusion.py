"""What one confusion matrix says: accuracy by class, their mean, Cohen's kappa.

In: called and true labels. Out: scalars, percent but for kappa. Shapes: M test images, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClassMetrics:
    """Scores of one evaluation that tell classes apart.

    Attributes:
        average_accuracy: mean of the classes' accuracies, each class with equal weight, percent; classes without a test
            image are left out. Not the overall accuracy (top-1), in which each image has equal weight.
        kappa: Cohen's kappa, unitless: 1 for no mistake, 0 for the agreement that chance alone gives; None where chance
            alone agrees always.
        class_accuracy: of every class in label order, percent; None for a class without a test image.
        confusion: [true label, called label, images] of each pair that occurs, ascending.
    """

    average_accuracy: float
    kappa: float | None
    class_accuracy: list[float | None]
    confusion: list[list[int]]


def confusion_matrix(called_M: Tensor, labels_M: Tensor, num_classes: int) -> Tensor:
    """Return counts int64 [C, C] on the CPU, true class down, called class across."""
    pairs = labels_M.cpu() * num_classes + called_M.cpu()
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_scores(confusion_CC: Tensor) -> ClassMetrics:
    """Score one evaluation.

    Args:
        confusion_CC: counts as `confusion_matrix` returns them, at least one image.

    Source of kappa: Cohen, A Coefficient of Agreement for Nominal Scales, 1960: (p_o - p_e) / (1 - p_e).
    """
    counts = confusion_CC.double()
    per_class, hits, total = counts.sum(1), counts.diagonal(), counts.sum()
    accuracies = [100 * h / n if n else None for h, n in zip(hits.tolist(), per_class.tolist(), strict=True)]
    present = [a for a in accuracies if a is not None]
    observed = float(hits.sum() / total)
    expected = float((per_class * counts.sum(0)).sum() / total**2)
    pairs = confusion_CC.nonzero()
    confusion = torch.cat([pairs, confusion_CC[pairs[:, 0], pairs[:, 1], None]], dim=1).tolist()
    kappa = (observed - expected) / (1 - expected) if expected < 1 else None
    return ClassMetrics(sum(present) / len(present), kappa, accuracies, confusion)


class PredictionLog:
    """What the last and the best evaluation called the test images; the first of equals is the best."""

    def __init__(self, labels_M: Tensor, num_classes: int) -> None:
        self.labels, self.num_classes = labels_M, num_classes
        self._top1 = -1.0

    def keep(self, top1: float, called_M: Tensor) -> None:
        """Take note of one evaluation; top-1 in percent."""
        self._last = called_M
        if top1 > self._top1:
            self._top1, self._best = top1, called_M

    def scores(self) -> tuple[ClassMetrics, ClassMetrics]:
        """Return the scores of the last and of the best evaluation."""
        last, best = (
            class_scores(confusion_matrix(called, self.labels, self.num_classes)) for called in (self._last, self._best)
        )
        return last, best
