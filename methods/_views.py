"""How a teacher sees a batch of images that learn: one random resized crop, flip and shift for all of them.

Legend: B images, S their side, P side of what the teacher sees, pixels. Source: golden/methods/sre2l_cda.json, "jitter".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TRIES = 10
RATIO = (3 / 4, 4 / 3)
"""Of a random resized crop, as torchvision: tries until the central crop is taken, and width / height."""


class View(NamedTuple):
    """How the teacher sees a batch: cropped, resized, mirrored, then shifted round the edges.

    Attributes:
        box: top, left, height and width of the crop, pixels.
        side: P.
        shift: down and to the right, pixels.
    """

    box: tuple[int, int, int, int]
    side: int
    flip: bool = False
    shift: tuple[int, int] = (0, 0)

    def __call__(self, images_B3SS: Tensor) -> Tensor:
        """Return [B, 3, P, P]; products of matrices, whose gradient has the same bits every time on every device."""
        x, (top, left, height, width) = images_B3SS, self.box
        if (height, width) != (x.shape[2], x.shape[3]) or height != self.side:
            rows, columns = (
                resampling(*line, x.shape[2], self.side, x.device) for line in ((top, height), (left, width))
            )
            x = rows @ x @ columns.T
        return (x.flip(-1) if self.flip else x).roll(self.shift, dims=(2, 3))


def resampling(start: int, length: int, old: int, new: int, device: torch.device) -> Tensor:
    """Return the matrix [new, old] that cuts pixels [start, start + length) out of a line and resizes them to `new`.

    Linear, antialiased where it reduces, the cut's border repeated: as torchvision resizes a crop.
    """
    import torch

    scale = length / new
    middle = start + (torch.arange(new, device=device) + 0.5) * scale
    place = torch.arange(old, device=device) + 0.5
    weight = (1 - (place - middle[:, None]).abs() / max(scale, 1)).clamp(min=0)
    weight = weight * ((place > start) & (place < start + length))
    return weight / weight.sum(dim=1, keepdim=True)


def draw_view(rng: torch.Generator, old: int, new: int, *, min_crop: float | None, flip: bool, jitter: int) -> View:
    """Draw a view of square images of `old` pixels at `new` pixels; it always takes as many numbers from the stream.

    Args:
        min_crop: least area of the crop, as a share; None: no crop.
        flip: whether half of the views are mirrored.
        jitter: largest shift; from 0 on, both ends included.
    """
    import torch

    u = torch.rand(2 * TRIES + 5, dtype=torch.float64, generator=rng).tolist()
    box = (0, 0, old, old) if min_crop is None else crop_box(u[5:], (u[0], u[1]), old, min_crop)
    return View(box, new, flip and u[2] < 0.5, (int(u[3] * (jitter + 1)), int(u[4] * (jitter + 1))))


def crop_box(
    tries: Sequence[float], place: tuple[float, float], side: int, min_crop: float
) -> tuple[int, int, int, int]:
    """Turn uniform numbers into a crop as torchvision's RandomResizedCrop: the first size that fits, else the whole image.

    Args:
        tries: an area and a log ratio in turn, [0, 1).
        place: of the corner among those where the crop fits, [0, 1).
    """
    low, high = map(math.log, RATIO)
    for area, ratio in zip(tries[::2], tries[1::2], strict=True):
        pixels, aspect = side**2 * (min_crop + area * (1 - min_crop)), math.exp(low + ratio * (high - low))
        height, width = round(math.sqrt(pixels / aspect)), round(math.sqrt(pixels * aspect))
        if 0 < height <= side and 0 < width <= side:
            return int(place[0] * (side - height + 1)), int(place[1] * (side - width + 1)), height, width
    return 0, 0, side, side
