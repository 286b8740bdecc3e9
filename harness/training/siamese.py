"""Differentiable siamese augmentation: one operation, drawn once, for all images of a real and a synthetic batch alike.

Where a network is trained, the operation is one for the batch too, but each image draws what it does to it.

Source: Zhao and Bilen, Dataset Condensation with Differentiable Siamese Augmentation, ICML 2021; ranges as in the authors'
code. In: normalised images of any number of channels; 0 is the mean colour, which fills what an operation uncovers. Out: the
same shape. Shapes: B batch, S side, pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from harness.core.config.protocol import Operation

Number = float | Tensor
"""One number for all images, or one for each of them, float64 [B] on the CPU."""
Chance = tuple[Number, Number, Number]
"""Three uniform numbers in [0, 1); an operation uses as many as it needs."""

SHIFT, CUTOUT, ZOOM, DEGREES = 0.125, 0.5, 1.2, 15.0
"""Largest shift and side of the hole as shares of the image's side; largest zoom in and out; largest rotation."""


@dataclass(frozen=True)
class Augmentation:
    """An operation with its random parameters; it does the same to every batch it is called on.

    Attributes:
        operation: None: the images are unchanged.
        chance: the random parameters.
    """

    operation: Operation | None
    chance: Chance

    def __call__(self, images_B3SS: Tensor) -> Tensor:
        """Return the augmented images; gradients flow to the pixels that are still seen."""
        return images_B3SS if self.operation is None else _OPERATIONS[self.operation](images_B3SS, self.chance)


def draw_augmentation(operations: Sequence[Operation], rng: torch.Generator) -> Augmentation:
    """Draw one of the operations, all equally likely; always consumes four numbers from the stream."""
    which, *chance = torch.rand(4, dtype=torch.float64, generator=rng).tolist()
    operation = operations[int(which * len(operations))] if operations else None
    return Augmentation(operation, (chance[0], chance[1], chance[2]))


def draw_for_each(operations: Sequence[Operation], num: int, rng: torch.Generator) -> Augmentation:
    """Draw one of the operations, and what it does to each image of a batch of `num`."""
    operation = draw_augmentation(operations, rng).operation
    first, second, third = torch.rand(3, num, dtype=torch.float64, generator=rng)
    return Augmentation(operation, (first, second, third))


def _factor(number: Number, images: Tensor) -> Number:
    """Return a number that images [B, 3, S, S] can be multiplied by; [B, 1, 1, 1] where each image has its own."""
    return number if isinstance(number, float) else number.to(images).view(-1, 1, 1, 1)


def _whole(number: Number, count: int, images: Tensor) -> int | Tensor:
    """Return a whole number below `count`; [B, 1] where each image has its own."""
    return int(number * count) if isinstance(number, float) else (number * count).long().to(images.device)[:, None]


def _color(images: Tensor, chance: Chance) -> Tensor:
    """Shift the brightness by up to 0.5, then saturation times 0 to 2, then contrast times 0.5 to 1.5."""
    brightness, saturation, contrast = (_factor(c, images) for c in chance)
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * (2 * saturation) + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def _crop(images: Tensor, chance: Chance) -> Tensor:
    """Shift by up to an eighth of the side, both ways."""
    side = images.shape[-1]
    most = int(side * SHIFT + 0.5)
    top, left = (_whole(c, 2 * most + 1, images) for c in chance[:2])
    padded = functional.pad(images, (most, most, most, most))
    if isinstance(top, int) and isinstance(left, int):
        return padded[:, :, top : top + side, left : left + side]
    place = torch.arange(side, device=images.device)
    rows_BS, cols_BS, each_B = top + place, left + place, torch.arange(len(images), device=images.device)
    return padded[each_B[:, None, None], :, rows_BS[:, :, None], cols_BS[:, None]].permute(0, 3, 1, 2).contiguous()


def _cutout(images: Tensor, chance: Chance) -> Tensor:
    """Empty a square of half the side; its middle may be anywhere, so part of it may lie outside."""
    side = images.shape[-1]
    size = int(side * CUTOUT + 0.5)
    place = torch.arange(side, device=images.device)
    firsts = [_whole(c, side + 1 - size % 2, images) - size // 2 for c in chance[:2]]
    rows, cols = ((place >= first) & (place < first + size) for first in firsts)
    hole = rows[..., :, None] & cols[..., None, :]
    return images * (~hole).to(images.dtype).unsqueeze(-3)


def _flip(images: Tensor, chance: Chance) -> Tensor:
    """Mirror left and right, or not: all images or none, unless each draws for itself."""
    number = chance[0]
    if isinstance(number, float):
        return images.flip(-1) if number < 0.5 else images
    return torch.where((number < 0.5).to(images.device)[:, None, None, None], images.flip(-1), images)


def _scale(images: Tensor, chance: Chance) -> Tensor:
    """Zoom each direction on its own, from 1.2 times as large to 1.2 times as small."""
    across, down = (1 / ZOOM + c * (ZOOM - 1 / ZOOM) for c in chance[:2])
    return _affine(images, (across, 0.0, 0.0, 0.0, down, 0.0))


def _rotate(images: Tensor, chance: Chance) -> Tensor:
    """Turn by up to 15 degrees either way."""
    angle = (2 * chance[0] - 1) * DEGREES * (math.pi / 180)
    cos: Number
    sin: Number
    if isinstance(angle, float):
        cos, sin = math.cos(angle), math.sin(angle)
    else:
        cos, sin = torch.cos(angle), torch.sin(angle)
    return _affine(images, (cos, -sin, 0.0, sin, cos, 0.0))


def _affine(images: Tensor, matrix: Sequence[Number]) -> Tensor:
    """Sample the images where the matrix, its two rows of three numbers, sends each pixel."""
    numbers = torch.broadcast_tensors(*(torch.as_tensor(number, dtype=torch.float64) for number in matrix))
    matrices = torch.stack(numbers, dim=-1).to(images).view(-1, 2, 3)  # one for all images, or one for each
    grid = functional.affine_grid(matrices, [len(matrices), *images.shape[1:]], align_corners=False)
    return functional.grid_sample(images, grid.expand(len(images), -1, -1, -1), align_corners=False)


_OPERATIONS: dict[Operation, Callable[[Tensor, Chance], Tensor]] = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}
