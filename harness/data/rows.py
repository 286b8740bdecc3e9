"""The images of a training, in memory or in a file: rows that are asked for in batches.

In: a tensor, or a file of decoded images (`harness.data.decoded`). Out: uint8 batches on a device, equal bit for bit
either way. Shapes: N images, B batch, K channels, S side in pixels.
"""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LIMIT = "HARNESS_IMAGES_IN_MEMORY_GB"
"""The environment variable that says how many GB (10^9 bytes) of real images one split may take in memory."""


DEFAULT_LIMIT_GB = 4.0
"""Where the variable is not set: the ten classes of ImageWoof at 224 pixels (1.4 GB) fit, all of ImageNet-1K does not."""


def memory_limit() -> int:
    """Return the bytes up to which the images of one split are kept in memory; above it they are read from a file.

    Raises:
        UserError: the environment variable holds no number of 0 or more.
    """
    text = os.environ.get(LIMIT, "")
    try:
        limit = float(text) if text else DEFAULT_LIMIT_GB
    except ValueError:
        limit = -1
    if not 0 <= limit < 1e9:
        raise UserError(f"{LIMIT}={text!r}: expected a number of GB, 0 or more, such as {DEFAULT_LIMIT_GB:g}.")
    return int(limit * 1e9)


class ImageRows(ABC):
    """Square uint8 images, numbered from 0.

    Attributes:
        shape: (N, K, S, S).
        device: where batches are returned.
    """

    shape: tuple[int, ...]
    device: torch.device

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def batches(self, order: Tensor, size: int | list[int]) -> Iterator[Tensor]:
        """Return the images `order` (int64 [M]) in batches: uint8 [B, K, S, S] on the device, for reading only.

        Args:
            order: which images.
            size: of every batch but the last, or of each; they sum to M then.
        """

    @abstractmethod
    def split(self, size: int) -> Iterable[Tensor]:
        """Return all images in batches of `size`, in their order; for reading only."""


class ResidentRows(ImageRows):
    """Images that are on the device: a tensor uint8 [N, K, S, S]."""

    def __init__(self, images: Tensor) -> None:
        self.images, self.shape, self.device = images, tuple(images.shape), images.device

    def batches(self, order: Tensor, size: int | list[int]) -> Iterator[Tensor]:
        return (self.images[picked] for picked in order.to(self.device).split(size))

    def split(self, size: int) -> Iterable[Tensor]:
        return self.images.split(size)


class FileRows(ImageRows):
    """Images in a file, one after the other. A thread reads the next batch while the last one is used.

    Rows are read into a batch and not mapped: mapped pages count as memory of the process, all of the file in the end.

    Args:
        path: the file; it may be replaced or removed while it is open here.
        shape: (N, K, S, S) of the whole file.
        offset: bytes before the first image.
        device: where batches are returned.
        chosen: int64 [M], which images these rows are, in this order; None: all.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], offset: int, device: torch.device | str, chosen: Tensor | None = None
    ) -> None:
        import torch

        self.path, self.device, self._offset, self._chosen = path, torch.device(device), offset, chosen
        self.shape = (shape[0] if chosen is None else len(chosen), *shape[1:])
        self._row_bytes = shape[1] * shape[2] * shape[3]
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def batches(self, order: Tensor, size: int | list[int]) -> Iterator[Tensor]:
        order = order.cpu()
        order = order if self._chosen is None else self._chosen[order]
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-images") as reader:
            pending: Future[Tensor] | None = None
            for rows in order.split(size):
                following = reader.submit(self._read, rows, self._room(len(rows)))
                if pending is not None:
                    yield pending.result().to(self.device, non_blocking=True)
                pending = following
            if pending is not None:
                yield pending.result().to(self.device, non_blocking=True)

    def split(self, size: int) -> Iterable[Tensor]:
        import torch

        return self.batches(torch.arange(len(self)), size)

    def _room(self, num: int) -> Tensor:
        """Return memory for images; pinned where they go to a GPU, so that copying waits for nothing.

        Not for the reading thread to ask for: each thread's allocator keeps what is freed for itself.
        """
        import torch

        return torch.empty((num, *self.shape[1:]), dtype=torch.uint8, pin_memory=self.device.type == "cuda")

    def _read(self, rows: Tensor, images: Tensor) -> Tensor:
        """Read images of the file into memory of their shape, and return it."""
        places = [self._offset + row * self._row_bytes for row in rows.tolist()]
        if hasattr(os, "posix_fadvise"):  # the disk may serve them in any order, several at once
            for place in places:
                os.posix_fadvise(self._file, place, self._row_bytes, os.POSIX_FADV_WILLNEED)
        for target, place in zip(images.view(len(rows), -1).numpy(), places, strict=True):
            if os.preadv(self._file, [target], place) != self._row_bytes:
                raise UserError(f"{self.path} is shorter than before. Start the run again to rebuild the file.")
        return images


def as_rows(images: Tensor | ImageRows, device: torch.device | str) -> ImageRows:
    """Return images to train on or to score: a tensor goes to the device; rows stay what they are."""
    return images if isinstance(images, ImageRows) else ResidentRows(images.to(device))
