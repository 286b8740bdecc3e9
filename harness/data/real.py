"""The real training images that a method is given as `task.real`: by class, on the task's device.

In: a `Split`. Out: uint8 tensors. Shapes: N images, n of one class, K channels, S side in
pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.core.progress import ProgressCallback, no_progress
from harness.data.rows import memory_limit
from harness.data.split import Crop, Split

if TYPE_CHECKING:
    import torch


class RealImages:
    """Images of a split on a device.

    A class that is asked for whole stays on the device, as long as all those classes together stay within
    `harness.data.rows.memory_limit`; above it the one that was not asked for the longest is read again when it is asked
    for. So a coreset that walks over a thousand classes holds some of them. Asking for some images of a class that does
    not stay reads just those, and keeps none: a method that wants ten images of each does not pay for a million.

    Args:
        split: where the images come from.
        size: side, pixels.
        crop: how an image becomes a square.
        device: where results live.
        report: told the images read by `tensors`.
    """

    def __init__(
        self,
        split: Split,
        *,
        size: int,
        device: torch.device | str,
        crop: Crop = "adm",
        report: ProgressCallback = no_progress,
    ) -> None:
        self._split = split
        self.size = size
        self.crop: Crop = crop
        self.device = device
        self._report = report
        self._image_bytes = split.channels * size**2
        self._classes: dict[str, torch.Tensor] = {}
        self._all: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def class_ids(self) -> tuple[str, ...]:
        """Classes in label order."""
        return self._split.class_ids

    @property
    def labels(self) -> dict[str, int]:
        """Label of every class: its position in the suite's full class list."""
        return self._split.labels

    @property
    def num_per_class(self) -> dict[str, int]:
        """Images of every class."""
        return self._split.num_per_class

    def names(self, class_id: str) -> list[str]:
        """Return the file names of a class in byte order; a name's position is the image's index."""
        return self._split.names(class_id)

    def images(self, class_id: str, indices: Iterable[int] | None = None) -> torch.Tensor:
        """Return images of one class.

        Args:
            class_id: one of `class_ids`.
            indices: positions in `names(class_id)`, in the order wanted; None: all, and they stay on the device for a
                while.

        Returns:
            uint8 [n, K, S, S] on the device. Do not write into it: it may be the resident copy.

        Raises:
            ValueError: no such class or index.
            UserError: images cannot be read; names them.
        """
        resident = self._classes.get(class_id)
        if indices is not None and resident is None:
            return self._split.load(class_id, indices, size=self.size, crop=self.crop).to(self.device)
        if resident is None:
            resident = self._split.load(class_id, size=self.size, crop=self.crop).to(self.device)
        self._keep(class_id, resident)
        return resident if indices is None else resident[self._positions(class_id, indices)]

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return everything, class after class; it stays on the device, whatever it takes: N * K * S * S bytes.

        For a group of classes, or small data. All of ImageNet-1K at 256 pixels is 252 GB: ask for `images` of a class at
        a time instead.

        Returns:
            images uint8 [N, K, S, S] and labels int64 [N] on the device.

        Raises:
            UserError: images cannot be read; names them.
        """
        if self._all is None:
            images, labels = self._split.tensors(size=self.size, crop=self.crop, report=self._report)
            self._all = images.to(self.device), labels.to(self.device)
            counts = [self.num_per_class[c] for c in self.class_ids]
            self._classes = dict(zip(self.class_ids, self._all[0].split(counts), strict=True))
        return self._all

    def _keep(self, class_id: str, images: torch.Tensor) -> None:
        """Make a class the one asked for last, and let go of the first ones until the rest fit. At least one stays."""
        self._classes.pop(class_id, None)
        self._classes[class_id] = images
        if self._all is None:  # else they are parts of one tensor
            held, limit = sum(map(len, self._classes.values())) * self._image_bytes, memory_limit()
            while held > limit and len(self._classes) > 1:
                held -= len(self._classes.pop(next(iter(self._classes)))) * self._image_bytes

    def _positions(self, class_id: str, indices: Iterable[int]) -> torch.Tensor:
        import torch

        positions = torch.tensor([int(i) for i in indices], dtype=torch.int64)
        num = self.num_per_class[class_id]
        if ((positions < 0) | (positions >= num)).any():
            raise ValueError(f"class {class_id!r} has images 0 to {num - 1}; requested {positions.tolist()[:5]} ...")
        return positions.to(self.device)
