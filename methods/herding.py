"""Herding: real images whose running feature mean stays closest to the class mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from harness import DistilledSet, Method, Task, register_method, repeat_to

if TYPE_CHECKING:
    from torch import Tensor


@register_method("herding")
class Herding(Method):
    """Greedy mean matching in feature space; the greedy order is nested, so IPC 10 is the head of IPC 50."""

    version = 1
    title = "Herding"
    reference = "Welling, Herding dynamical weights to learn, ICML 2009"
    needs = {"features"}
    nested = True

    class Config(Method.Config):
        """Options."""

        features: str = Field("teacher", description="teacher: the suite's student trained on real data; or timm:NAME")

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Choose class by class."""
        extract = task.features(self.config.features)
        images = {}
        for c in task.classes:
            order = herding_order(extract(task.real.images(c.id)), ipc)
            images[c.id] = task.real.images(c.id, repeat_to(order, ipc))
        return DistilledSet(images)


def herding_order(features_ND: Tensor, count: int) -> list[int]:
    """Return up to `count` row indices, each the one that brings the mean of those chosen closest to the mean of all.

    Args:
        features_ND: [N, D], any device.

    Source: Welling 2009; the k-th choice minimises ||mean - (chosen sum + x) / k||. Ties go to the lower index.
    """
    import torch

    features = features_ND.double()
    mean = features.mean(dim=0)
    total = torch.zeros_like(mean)
    free = torch.ones(len(features), dtype=torch.bool, device=features.device)
    order: list[int] = []
    while len(order) < min(count, len(features)):
        distance = (mean - (total + features) / (len(order) + 1)).norm(dim=1)
        best = int(distance.masked_fill(~free, torch.inf).argmin())
        order.append(best)
        free[best] = False
        total += features[best]
    return order
