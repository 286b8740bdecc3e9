"""Coresets: real images chosen class by class in feature space, in a greedy order. The base of herding and k_center."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from harness import DistilledSet, Method, Task, repeat_to

if TYPE_CHECKING:
    from torch import Tensor


class Coreset(Method):
    """The head of a greedy order, so that the set at IPC 10 is the head of the set at IPC 50."""

    needs = {"features"}
    nested = True

    class Config(Method.Config):
        """Options."""

        features: str = Field("teacher", description="teacher: the suite's student trained on real data; or timm:NAME")

    def passes(self, num_real: int, num_classes: int, ipc: int, side: int) -> list[tuple[str, float, float]]:
        """Return that every real image is looked at once; the greedy choice is small against it."""
        return [("teacher" if self.config.features == "teacher" else self.config.features, 0, num_real)]

    def order(self, features_ND: Tensor, count: int) -> list[int]:
        """Return up to `count` different rows of the features of one class, the first chosen first."""
        raise NotImplementedError

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Choose class by class."""
        extract = task.features(self.config.features)
        images = {}
        for c in task.classes:
            features_ND = extract(task.real.images(c.id))
            with task.per_image():
                order = self.order(features_ND, ipc)
                images[c.id] = task.real.images(c.id, repeat_to(order, ipc))
        return DistilledSet(images)
