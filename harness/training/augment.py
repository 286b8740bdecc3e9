"""Augmentation of whole batches: crop, flip, colour jitter, lighting and normalisation of uint8 images.

In: uint8 images on any device and random draws made on the CPU. Out: normalised float32 images, ready for a student.
Equal draws give equal images on every device, and an image's draws do not depend on the batch that it falls into.
Shapes: N images of an epoch, B batch, S image side. Source: golden/protocol.json, "train_transform".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from harness.core.config.protocol import Protocol
from harness.training.whitening import Whitening

GREY = (0.299, 0.587, 0.114)
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
_TRIES = 10
_BATCHED_UP_TO = 64
"""Side, pixels. On one CPU core, two matrix products a batch resize 234,000 images/s of 16 pixels (one at a time:
55,000), about as many as one at a time at 64 pixels, and a fifth at 224."""


@dataclass(frozen=True)
class Draws:
    """What chance decided for N images.

    Attributes:
        box: [N, 4] int64: top, left, height, width of the crop, pixels.
        flip: [N] bool.
        jitter: [N, 3] float32: alpha of brightness, contrast and saturation.
        lighting: [N, 3] float32: alpha per eigenvector.
        patches: [N, 2, f] int64: which strip comes first, second, ...: of the columns, then of the rows.
    """

    box: Tensor
    flip: Tensor
    jitter: Tensor
    lighting: Tensor
    patches: Tensor

    def __getitem__(self, index: slice | Tensor) -> Draws:
        """Return the draws of some of the images."""
        return Draws(*(getattr(self, field.name)[index] for field in fields(self)))

    def to(self, device: torch.device) -> Draws:
        """Return the draws on a device."""
        return Draws(*(getattr(self, field.name).to(device) for field in fields(self)))

    @classmethod
    def cat(cls, parts: Sequence[Draws]) -> Draws:
        """Return the draws of some batches as those of one, in their order."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def draw(protocol: Protocol, num_images: int, side: int, rng: torch.Generator) -> Draws:
    """Draw the augmentation of `num_images` square images of `side` pixels.

    Every image uses the same number of consecutive random numbers, so cutting the images into batches changes nothing.

    Paper/Code: the three colour operations come in random order. Here: no order is drawn, because nothing is clamped
    and they commute exactly (see `colour_matrix`).
    """
    u = torch.rand(num_images, 2 * _TRIES + 9, dtype=torch.float64, generator=rng)
    sizes, rest = u[:, : 2 * _TRIES], u[:, 2 * _TRIES :]
    if protocol.crop_scale is None:
        box = torch.tensor([0, 0, side, side]).repeat(num_images, 1)
    else:
        box = crop_boxes(sizes, rest[:, :2], side, protocol.crop_scale, protocol.crop_ratio)
    strips = torch.zeros(num_images, 2, 1)
    if protocol.patch_shuffle > 1:
        strips = torch.rand(num_images, 2, protocol.patch_shuffle, dtype=torch.float64, generator=rng)
    normal = torch.special.ndtri(rest[:, 6:9].clamp(2**-53, 1 - 2**-53))
    return Draws(
        box=box,
        flip=(rest[:, 2] < 0.5) if protocol.flip else torch.zeros(num_images, dtype=torch.bool),
        jitter=((2 * rest[:, 3:6] - 1) * protocol.color_jitter).float(),
        lighting=(normal * protocol.pca_lighting).float(),
        patches=strips.argsort(2),
    )


def crop_boxes(
    sizes: Tensor, places: Tensor, side: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Turn uniform numbers into crop boxes as torchvision's RandomResizedCrop.get_params does.

    Args:
        sizes: [N, 20] in [0, 1): ten tries of an area and of a log ratio each; the first size that fits counts.
        places: [N, 2] in [0, 1): where the top left corner goes.
        side: S, pixels.
        scale: range of the area, as a share of the image's.
        ratio: range of width / height, log-uniform.

    Returns:
        [N, 4] int64: top, left, height, width. Where no try fits: the largest central crop within the ratios.
    """
    area = side * side * (scale[0] + sizes[:, ::2] * (scale[1] - scale[0]))
    log_low, log_high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(log_low + sizes[:, 1::2] * (log_high - log_low))
    width, height = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (width > 0) & (width <= side) & (height > 0) & (height <= side)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    size = torch.cat([height.gather(1, first), width.gather(1, first)], dim=1)
    corner = ((side - size + 1) * places).floor().long()
    fallback = torch.tensor([round(side / max(ratio[0], 1)), round(side * min(ratio[1], 1))])
    centre = (side - fallback) // 2
    found = fits.any(1, keepdim=True)
    return torch.cat([torch.where(found, corner, centre), torch.where(found, size, fallback)], dim=1)


class Augmenter:
    """Applies draws to batches.

    Args:
        protocol: what is done, and the normalisation.
        device: where the images are.
        whitening: in place of the normalisation, where the protocol says so.

    Raises:
        ValueError: the protocol whitens and there is no whitening, or the other way round.
    """

    def __init__(self, protocol: Protocol, device: torch.device, whitening: Whitening | None = None) -> None:
        if (protocol.whitening == "none") != (whitening is None):
            raise ValueError(f"protocol {protocol.name!r} has whitening {protocol.whitening}, and got {whitening}")
        self.protocol = protocol
        self.device = device
        self._crops = protocol.crop_scale is not None or protocol.flip
        self._whiten = whitening or (lambda images: images)
        self._mean = torch.tensor(protocol.mean, device=device) * (whitening is None)
        self._std = torch.tensor(protocol.std, device=device) ** (whitening is None)
        self._grey = torch.tensor(GREY if protocol.channels == 3 else (1.0,), device=device)
        lighting = torch.tensor(_EIGENVECTORS) * torch.tensor(_EIGENVALUES)
        self._lighting = lighting.to(device)

    def normalise(self, images_B3SS: Tensor) -> Tensor:
        """Return uint8 images as normalised float32, nothing else: what test images get."""
        scale, shift = 1 / (255 * self._std), -self._mean / self._std
        return self._whiten(torch.addcmul(shift.view(-1, 1, 1), images_B3SS.float(), scale.view(-1, 1, 1)))

    def __call__(self, images_B3SS: Tensor, draws: Draws) -> Tensor:
        """Augment and normalise uint8 images [B, K, S, S]; `draws` are theirs, on the same device."""
        if self.protocol.patch_shuffle > 1:
            images_B3SS = shuffle_patches(images_B3SS, draws.patches)
        x = resized_crop(images_B3SS, draws.box, draws.flip) if self._crops else images_B3SS.float()
        if not (self.protocol.color_jitter or self.protocol.pca_lighting):
            return self.normalise(x)
        flat = x.flatten(2)
        matrix, offset = colour_matrix(draws.jitter, flat.mean(2) @ self._grey / 255, self._grey)
        if len(self._mean) == 3:
            offset = offset + draws.lighting @ self._lighting.T
        matrix, offset = matrix / (255 * self._std).view(-1, 1), (offset - self._mean) / self._std
        return self._whiten(torch.baddbmm(offset[:, :, None], matrix, flat).view_as(x))


def shuffle_patches(images_B3SS: Tensor, patches: Tensor) -> Tensor:
    """Cut each image into f vertical strips and reorder them, then into f horizontal ones: an f x f grid.

    Paper/Code: pixels beyond f strips of floor(S / f) are cut off. Here: they stay where they are, because a student's
    images must keep their size; equal where f divides S.

    Args:
        images_B3SS: any type.
        patches: [B, 2, f] int64, as in `Draws`, on the same device.

    Source: golden/rded.json, "shuffle_patches".
    """
    side, f = images_B3SS.shape[-1], patches.shape[2]
    strip = side // f
    inside = torch.arange(strip, device=patches.device)
    order = (patches[..., None] * strip + inside).flatten(2)
    rest = torch.arange(strip * f, side, device=patches.device).expand(*order.shape[:2], -1)
    cols, rows = torch.cat([order, rest], dim=2).unbind(1)
    batch = torch.arange(len(images_B3SS), device=patches.device)[:, None, None]
    return images_B3SS.permute(0, 2, 3, 1)[batch, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)


def colour_matrix(jitter: Tensor, grey_mean: Tensor, grey: Tensor) -> tuple[Tensor, Tensor]:
    """Fuse brightness, contrast and saturation into one affine map of the colours of each image.

    Each operation is x + alpha (ref - x): ref is 0 for brightness, the image's mean grey at that point for contrast,
    the pixel's own grey for saturation. Saturation keeps grey values and brightness scales them, so whatever the order
    the result is (1 - a_b) [(1 - a_c) S x + a_c m], with S the saturation and m the mean grey of the original.

    Args:
        jitter: [B, 3], alpha of brightness, contrast, saturation.
        grey_mean: [B], mean grey of the images before any of the three.
        grey: [3], weights of red, green and blue; they sum to 1. Of grey images [1]: saturation changes nothing then.

    Returns:
        matrix [B, K, K] and offset [B, K], K = len(grey), of colours in the unit of `grey_mean`.
    """
    brightness, contrast, saturation = (1 - jitter).unbind(1)
    eye = torch.eye(len(grey), device=jitter.device)
    saturate = saturation.view(-1, 1, 1) * eye + (1 - saturation).view(-1, 1, 1) * grey
    offset = brightness * (1 - contrast) * grey_mean
    return (brightness * contrast).view(-1, 1, 1) * saturate, offset[:, None].expand(-1, len(grey))


def resized_crop(images_B3SS: Tensor, box: Tensor, flip: Tensor) -> Tensor:
    """Crop each image to its box, resize it to S x S (bilinear), flip it where asked; float32 in [0, 255].

    The crop's own border counts, as if it had been cut out first. A crop is never larger than the image, so there is
    nothing to antialias.

    Args:
        images_B3SS: uint8 or float.
        box: [B, 4] int64: top, left, height, width.
        flip: [B] bool.
    """
    if images_B3SS.device.type == "cpu" and images_B3SS.shape[-1] > _BATCHED_UP_TO:
        return _resized_crop_one_by_one(images_B3SS, box, flip)
    side = images_B3SS.shape[-1]
    top, left, height, width = box.unbind(1)
    rows, cols = _interpolation(top, height, side), _interpolation(left, width, side)
    cols = torch.where(flip[:, None, None], cols.flip(1), cols)
    return rows[:, None] @ images_B3SS.float() @ cols.transpose(1, 2)[:, None]


def _interpolation(start: Tensor, length: Tensor, side: int) -> Tensor:
    """Return [B, S, S] matrices that resize the pixels [start, start + length) of a line to S pixels."""
    target = torch.arange(side, device=start.device)
    source = ((target + 0.5) * (length[:, None] / side) - 0.5).clamp(min=0)
    low = source.floor().long()
    weight = (source - low)[:, :, None]
    high = torch.minimum(low + 1, length[:, None] - 1)
    matrix = torch.zeros(len(start), side, side, device=start.device)
    matrix.scatter_add_(2, (low + start[:, None])[:, :, None], 1 - weight)
    return matrix.scatter_add_(2, (high + start[:, None])[:, :, None], weight)


def _resized_crop_one_by_one(images_B3SS: Tensor, box: Tensor, flip: Tensor) -> Tensor:
    """`resized_crop` for large images on a CPU.

    Resizing uint8 directly would be faster (3,700 against 2,000 images/s at 224 pixels on one core) but rounds to whole
    grey levels, for 1 % of a training step.
    """
    size = images_B3SS.shape[-2:]
    out = torch.empty(images_B3SS.shape)
    for i, ((top, left, height, width), flipped) in enumerate(zip(box.tolist(), flip.tolist(), strict=True)):
        crop = images_B3SS[i : i + 1, :, top : top + height, left : left + width].float()
        out[i] = functional.interpolate(crop.flip(-1) if flipped else crop, size=size, mode="bilinear")[0]
    return out
