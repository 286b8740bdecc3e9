"""Herding: real images whose running feature mean stays closest to the class mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import register_method
from methods._coreset import Coreset

if TYPE_CHECKING:
    from torch import Tensor


@register_method("herding")
class Herding(Coreset):
    """Greedy mean matching in feature space; the greedy order is nested, so IPC 10 is the head of IPC 50."""

    version = 1
    title = "Herding"
    reference = "Welling, Herding dynamical weights to learn, ICML 2009"
    bibtex = """@inproceedings{welling2009herding,
      author = {Welling, Max},
      title = {Herding Dynamical Weights to Learn},
      booktitle = {International Conference on Machine Learning (ICML)},
      pages = {1121--1128},
      year = {2009},
    }"""

    def order(self, features_ND: Tensor, count: int) -> list[int]:
        """Return the greedy order."""
        return herding_order(features_ND, count)


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
