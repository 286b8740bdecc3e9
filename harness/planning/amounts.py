"""How many images the jobs of a plan work on: what an estimate multiplies its rates by.

In: a request, the specification of a job. Out: images that pass a network forward and backward, and forward only.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.core.config.protocol import Protocol
from harness.jobs.context import open_split
from harness.jobs.job import SCORED_ON
from harness.training.recipe import Recipe, make_recipe

if TYPE_CHECKING:
    from harness.planning.resolve import Resolved

FORWARD_SHARE = 1 / 3
"""Cost of an image that is only scored, as a share of one that is trained on (one pass forward, two backward)."""


class Amounts:
    """Counts of one request."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        self.num_classes = len(resolved.context.classes)

    @cached_property
    def real(self) -> dict[str, int]:
        """Images of the training split by class."""
        return open_split(self.resolved.context, "train").num_per_class

    @cached_property
    def num_real(self) -> int:
        """Images of the training split."""
        return sum(self.real.values())

    @cached_property
    def num_test(self) -> int:
        """Images of the test split."""
        return sum(open_split(self.resolved.context, "test").num_per_class.values())

    def images(self, kind: str, spec: dict[str, Any], num_real: int | None = None) -> float:
        """Return the work of a job in images: seen by a student, drawn, or learned from; 1 for a prior.

        Args:
            num_real: real images that a fit was given, where its record says so.
        """
        if kind == "prior":
            return 1 if spec["train"] else 0
        if kind == "fit":
            return num_real or sum(self.real[c] for c in spec["group"] if c in self.real)
        if kind == "synthesize":
            return int(spec["ipc"]) * self.num_classes
        if kind == "label":
            return FORWARD_SHARE * spec["ipc"] * self.num_classes
        learned, scored = self.seen(kind, spec)
        return learned + FORWARD_SHARE * scored

    def seen(self, kind: str, spec: dict[str, Any]) -> tuple[float, float]:
        """Return the images that a student or a teacher is trained on, over all epochs, and those that it is scored on."""
        if kind == "teacher":
            held = spec["teacher"]["holdout"] * self.num_real
            epochs, scored = spec["teacher"]["epochs"] or 0, min(held, SCORED_ON)
            return epochs * (self.num_real - held), scored * (2 if epochs else 1)  # after the training, and for itself
        recipe = self.recipe(kind, spec)
        return recipe.epochs * self.an_epoch(kind, spec), len(recipe.eval_epochs) * self.num_test

    def an_epoch(self, kind: str, spec: dict[str, Any]) -> int:
        """Return the images of one epoch."""
        if kind == "teacher":
            return round((1 - spec["teacher"]["holdout"]) * self.num_real)
        return int(spec["ipc"]) * self.num_classes if spec["ipc"] else self.num_real

    def recipe(self, kind: str, spec: dict[str, Any]) -> Recipe:
        """Return what a training follows; a teacher's epochs are its own."""
        student = spec["student"] if kind == "train" else spec["teacher"]["student"]
        protocol = Protocol.model_validate(spec["protocol"])
        if kind == "teacher":
            protocol = protocol.model_copy(update={"scale_epochs_at_100_classes": False})
        return make_recipe(protocol, self.an_epoch(kind, spec) / self.num_classes, self.num_classes, student or "")
