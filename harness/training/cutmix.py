"""CutMix: paste one box of a shuffled batch into the batch, and mix the losses by the area that stays.

Source: Yun et al., ICCV 2019; golden/protocol.json, "cutmix". Shapes: B batch, S image side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Mix:
    """One CutMix of one batch.

    Attributes:
        rows: [first, last) row of the box, clipped to the image.
        cols: [first, last) column of the box, clipped to the image.
        kept: share of the image outside the clipped box; the weight of an image's own label.
        partner: [B] int64, which image of the batch each one gets its box from.
    """

    rows: tuple[int, int]
    cols: tuple[int, int]
    kept: float
    partner: Tensor


def cutmix_box(
    height: int, width: int, lam: float, row: int, col: int
) -> tuple[tuple[int, int], tuple[int, int], float]:
    """Return rows, columns and kept share of the box of area 1 - `lam` around (row, col), clipped to the image."""
    cut = math.sqrt(1 - lam)
    half_h, half_w = int(height * cut) // 2, int(width * cut) // 2
    rows = (max(row - half_h, 0), min(row + half_h, height))
    cols = (max(col - half_w, 0), min(col + half_w, width))
    return rows, cols, 1 - (rows[1] - rows[0]) * (cols[1] - cols[0]) / (height * width)


def draw_mix(batch: int, side: int, *, probability: float, beta: float, rng: torch.Generator) -> Mix | None:
    """Draw the CutMix of one batch, or None where the batch stays as it is.

    Args:
        batch: B.
        side: S, pixels.
        probability: chance that the batch is mixed.
        beta: both parameters of the beta distribution of the kept share before clipping.
        rng: a CPU generator.
    """
    if probability == 0 or torch.rand((), generator=rng).item() >= probability:
        return None
    # torch's own beta distribution takes no generator, so numpy's is seeded from ours
    seed = int(torch.randint(2**62, (), generator=rng))
    lam = float(np.random.default_rng(seed).beta(beta, beta))
    row, col = torch.randint(side, (2,), generator=rng).tolist()
    rows, cols, kept = cutmix_box(side, side, lam, row, col)
    return Mix(rows, cols, kept, torch.randperm(batch, generator=rng))


def paste(images_B3SS: Tensor, mix: Mix) -> Tensor:
    """Paste the box of each image's partner into it, in place, and return the images."""
    (top, bottom), (left, right) = mix.rows, mix.cols
    partner = mix.partner.to(images_B3SS.device)
    images_B3SS[:, :, top:bottom, left:right] = images_B3SS[:, :, top:bottom, left:right][partner]
    return images_B3SS
