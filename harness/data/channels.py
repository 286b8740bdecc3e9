"""The channels of real images: a suite's, whatever its source reads.

In: a reader of RGB or grey images. Out: one that reads the suite's channels. Shapes: B images, K channels (3 or 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.core.progress import ProgressCallback, no_progress
from harness.data.split import Crop, ImageReader, Split

if TYPE_CHECKING:
    import torch

_LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue, in 1/65536: ITU-R 601, rounded as in Pillow."""


class InChannels(ImageReader):
    """Another reader's images with so many channels; names and copies are the other's.

    Args:
        reader: reads RGB or grey images.
        channels: of what is read here, 3 or 1.
    """

    def __init__(self, reader: ImageReader, channels: int) -> None:
        self.reader, self.channels = reader, channels

    def names(self, class_id: str) -> Sequence[str]:
        return self.reader.names(class_id)

    def read(
        self, items: Sequence[tuple[str, int]], *, size: int, crop: Crop, report: ProgressCallback = no_progress
    ) -> torch.Tensor:
        return with_channels(self.reader.read(items, size=size, crop=crop, report=report), self.channels)

    def copies(self, class_id: str) -> list[list[int]]:
        return self.reader.copies(class_id)


def in_channels(split: Split, channels: int) -> Split:
    """Return a split whose images have a suite's channels, 3 or 1: every split of a run comes from here."""
    return split if split.channels == channels else split.read_by(lambda reader: InChannels(reader, channels))


def with_channels(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Return uint8 images [B, 3 or 1, S, S] with so many channels.

    RGB becomes luma, bit for bit as Pillow's `convert("L")`; a grey channel is repeated. Grey written as RGB comes back
    as it was.
    """
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1).contiguous()
    return _luma(images)


def _luma(images: torch.Tensor) -> torch.Tensor:
    """Return the luma [B, 1, S, S] of uint8 RGB images; a few at a time are held in 32 bits."""
    import torch

    grey = torch.empty((len(images), 1, *images.shape[2:]), dtype=torch.uint8, device=images.device)
    for some, out in zip(images.split(_AT_ONCE), grey.split(_AT_ONCE), strict=True):
        red, green, blue = some.int().unbind(1)
        out[:, 0] = (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue + 2**15) >> 16
    return grey


_AT_ONCE = 256
"""Images converted at once."""


def is_grey(images: torch.Tensor) -> bool:
    """Return whether images [B, K, S, S] show grey only: one channel, or three that are equal."""
    return bool((images[:, :1] == images).all())
