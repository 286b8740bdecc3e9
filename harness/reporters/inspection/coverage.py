"""How well the distilled images of a class stand for its real ones: representativeness, diversity, density, coverage.

In: features of the real and the distilled images of one class. Out: four numbers. Similarity is cosine; distances are
Euclidean between features of length 1, which order pairs as the cosine does. Shapes: N real, M distilled, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

NEAREST = 5
"""k of density and coverage, as in Naeem et al., section 4."""


@dataclass(frozen=True)
class Scores:
    """Of one class.

    Attributes:
        representativeness: mean over the real images of the cosine similarity to the nearest distilled image, at most 1.
        diversity: 1 - mean over the distilled images of the cosine similarity to the nearest other one; NaN for one.
        density: mean over the distilled images of the number of real neighbourhoods around them, divided by k.
        coverage: share of the real images with a distilled image in their neighbourhood, 0 to 1.
    """

    representativeness: float
    diversity: float
    density: float
    coverage: float


def class_scores(real_ND: Tensor, made_MD: Tensor, nearest: int = NEAREST) -> Scores:
    """Return the scores of one class.

    A real image's neighbourhood is the open ball up to its k-th nearest other real image. Density and coverage are NaN
    where the class has no k other real images. Representativeness and diversity are what the two criteria of Minimax
    Diffusion (Gu et al., CVPR 2024) are after, measured on whole sets with the mean in place of the extreme.

    Args:
        real_ND: features of real training images.
        made_MD: features of distilled images.
        nearest: k.

    Raises:
        ValueError: either is empty, or the widths differ.

    Source of density and coverage: Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, ICML 2020.
    """
    if real_ND.ndim != 2 or made_MD.ndim != 2 or not len(real_ND) or real_ND.shape[1:] != made_MD.shape[1:]:
        raise ValueError(f"features of one width are needed; found {list(real_ND.shape)} and {list(made_MD.shape)}")
    if not len(made_MD):
        raise ValueError("there are no distilled images")
    real_ND, made_MD = (functional.normalize(x.double(), dim=1) for x in (real_ND, made_MD))
    similar_NM = real_ND @ made_MD.T
    among_MM = (made_MD @ made_MD.T).fill_diagonal_(-torch.inf)
    diversity = 1 - among_MM.amax(dim=1).mean().item() if len(made_MD) > 1 else float("nan")
    density = coverage = float("nan")
    if len(real_ND) > nearest:
        to_real_NN = (real_ND @ real_ND.T).fill_diagonal_(-torch.inf)
        edge_N = to_real_NN.topk(nearest, dim=1).values[:, -1]
        inside_NM = similar_NM > edge_N[:, None]
        density = inside_NM.sum(dim=0).double().mean().item() / nearest
        coverage = inside_NM.any(dim=1).double().mean().item()
    return Scores(similar_NM.amax(dim=1).mean().item(), diversity, density, coverage)
