"""K-center: real images that cover the class in feature space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import register_method
from methods._coreset import Coreset

if TYPE_CHECKING:
    from torch import Tensor


@register_method("k_center")
class KCenter(Coreset):
    """Greedy farthest points, beginning at the class mean; the greedy order is nested."""

    version = 1
    title = "K-Center"
    reference = "Sener and Savarese, Active learning for convolutional neural networks: a core-set approach, ICLR 2018"
    bibtex = """@inproceedings{sener2018coreset,
      author = {Sener, Ozan and Savarese, Silvio},
      title = {Active Learning for Convolutional Neural Networks: A Core-Set Approach},
      booktitle = {International Conference on Learning Representations (ICLR)},
      year = {2018},
    }"""

    def order(self, features_ND: Tensor, count: int) -> list[int]:
        """Return the greedy order."""
        return k_center_order(features_ND, count)


def k_center_order(features_ND: Tensor, count: int) -> list[int]:
    """Return up to `count` row indices: the point nearest to the mean, then always the one farthest from all chosen.

    Args:
        features_ND: [N, D], any device.

    Source: greedy 2-approximation of Sener and Savarese, 2018. Paper: starts from labelled points. Here: from the
    class mean's nearest point, because there are none yet. Ties go to the lower index.
    """
    import torch

    features = features_ND.double()
    order = [int((features - features.mean(dim=0)).norm(dim=1).argmin())]
    nearest = (features - features[order[0]]).norm(dim=1)
    while len(order) < min(count, len(features)):
        chosen = torch.tensor(order, device=features.device)
        farthest = int(nearest.index_fill(0, chosen, -torch.inf).argmax())
        order.append(farthest)
        nearest = torch.minimum(nearest, (features - features[farthest]).norm(dim=1))
    return order
