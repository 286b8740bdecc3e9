"""How a training ends: its evaluations, one after the other, and the scores that a record has. M test images, C classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from harness.training.confusion import ClassMetrics, PredictionLog
from harness.training.evaluation import accuracies
from harness.training.recipe import Recipe


@dataclass(frozen=True)
class TrainResult:
    """How one training ended. Accuracies in percent of the test split; epochs count from 1.

    Attributes:
        top1_last: accuracy of the final model.
        top1_best: best accuracy over the evaluations, as the papers report: chosen on the test split.
        best_epoch: the first epoch that reached it.
        top5_last: top-5 accuracy of the final model; None below five classes.
        top5_best: top-5 accuracy at `best_epoch`, not the best top-5; None below five classes.
        epochs: passes over the training images.
        num_steps: optimiser steps.
        kept_labels: soft labels that were kept where a protocol prunes them (`labels_kept`); None: it does not.
        train_loss_last: mean loss of the last epoch, nats, over augmented and mixed images.
        classes_last: accuracy by class, their mean, kappa and confusion matrix of the final model.
        classes_best: the same at `best_epoch`.
        curve: per evaluation: epoch, lr, train_loss (mean of that epoch), top1, top5.
    """

    top1_last: float
    top1_best: float
    best_epoch: int
    top5_last: float | None
    top5_best: float | None
    epochs: int
    num_steps: int
    kept_labels: int | None
    train_loss_last: float
    classes_last: ClassMetrics
    classes_best: ClassMetrics
    curve: list[dict[str, Any]]


class Scores:
    """The evaluations of a training, and what they say in the end.

    Args:
        recipe: of the training.
        test_labels: int64 [M], where the rankings are.
        num_classes: C.
    """

    def __init__(self, recipe: Recipe, test_labels: Tensor, num_classes: int) -> None:
        self._recipe, self._num_classes, self._labels = recipe, num_classes, test_labels
        self._called = PredictionLog(test_labels, num_classes)
        self._curve: list[dict[str, Any]] = []

    def add(self, epoch: int, loss: float, ranked_M5: Tensor) -> None:
        """Take note of an evaluation: the epoch's mean loss, and what `rank` returned."""
        top1, top5 = accuracies(ranked_M5, self._labels, self._num_classes)
        self._called.keep(top1, ranked_M5[:, 0])
        lr = self._recipe.lr_at(epoch)
        self._curve.append({"epoch": epoch, "lr": lr, "train_loss": loss, "top1": top1, "top5": top5})

    def result(self, num_steps: int, kept_labels: int | None) -> TrainResult:
        """Return how the training ended; arguments as in `TrainResult`."""
        last, (classes_last, classes_best) = self._curve[-1], self._called.scores()
        best = max(self._curve, key=lambda row: row["top1"])  # the first of equals
        return TrainResult(
            top1_last=last["top1"],
            top1_best=best["top1"],
            best_epoch=best["epoch"],
            top5_last=last["top5"],
            top5_best=best["top5"],
            epochs=self._recipe.epochs,
            num_steps=num_steps,
            kept_labels=kept_labels,
            train_loss_last=last["train_loss"],
            classes_last=classes_last,
            classes_best=classes_best,
            curve=self._curve,
        )
