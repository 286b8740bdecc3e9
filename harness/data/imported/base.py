"""A set of images that somebody gives: a folder of class folders, or a file of tensors.

In: a path and the suite's classes. Out: images and soft labels by class, and a fingerprint of their content. Pickles are
never run. Shapes: n images of one class, N in all, C classes, S image side.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.core.classes import ClassInfo
from harness.core.errors import UserError

if TYPE_CHECKING:
    import torch


Rows = Mapping[str, Sequence[int]]
"""class id -> positions of images in their class."""


class ImportedSet(ABC):
    """Images by class.

    Attributes:
        where: the path, for messages.
        classes: of the suite, in label order.
        order: one line: how the classes were told.
        remarks: what else a user should know, one line each.
        has_pixels: whether `load` gives what students see; not where whitening is yet to be undone.
    """

    where: str
    classes: tuple[ClassInfo, ...]
    order: str
    remarks: tuple[str, ...] = ()
    has_pixels: bool = True

    @property
    @abstractmethod
    def num_per_class(self) -> dict[str, int]:
        """Images of every class of the suite, 0 where there are none."""

    @property
    @abstractmethod
    def has_labels(self) -> bool:
        """Whether soft labels came with the images."""

    @property
    def sets(self) -> tuple[ImportedSet, ...]:
        """All sets that came together, this one among them: one for each distillation seed, from 0."""
        return (self,)

    @abstractmethod
    def side(self, rows: Rows) -> int | None:
        """Return the side of the images, pixels, where all of these are squares of one size; else None."""

    @abstractmethod
    def load(self, class_id: str, rows: Sequence[int], side: int) -> torch.Tensor:
        """Return uint8 images [n, K, side, side] of a class, resized as students see them (not at all at their own size).

        K is the suite's channels, 3 or 1. Where floats are kept they are float32, 0 black and 1 white.

        Raises:
            UserError: an image cannot be read, or is in colour and the suite is grey.
        """

    @abstractmethod
    def soft_labels(self, class_id: str, rows: Sequence[int]) -> torch.Tensor:
        """Return the soft labels of images of a class: logits [n, C], columns in the suite's label order.

        Raises:
            UserError: there are none, or not one row for each image.
        """

    @abstractmethod
    def fingerprint(self, rows: Rows, *, labels: bool) -> str:
        """Return the SHA-256 (hex) of the content of these images, with their soft labels if `labels`."""

    def fingerprint_of(self, ipc: int | None, *, labels: bool) -> str:
        """Return the SHA-256 (hex) of the first `ipc` images of each class of all sets (None: of all images)."""
        own = [one.fingerprint(one.all() if ipc is None else one.first(ipc), labels=labels) for one in self.sets]
        return own[0] if len(own) == 1 else hashlib.sha256("\n".join(own).encode()).hexdigest()

    def first(self, ipc: int) -> Rows:
        """Return the first `ipc` images of every class.

        Raises:
            UserError: a class has fewer.
        """
        short = [f"{c} has {num}" for c, num in self.num_per_class.items() if num < ipc]
        if short:
            more = f" and {len(short) - 10} more classes" if len(short) > 10 else ""
            raise UserError(
                f"{self.where}: fewer than {ipc} images (--ipc) in {len(short)} of {len(self.classes)} classes: class "
                f"{', '.join(short[:10])}{more}. Choose an IPC that every class has."
            )
        return {c: range(ipc) for c in self.num_per_class}

    def check(self, rows: Rows, side: int) -> None:
        """Read these images once and keep nothing.

        Raises:
            UserError: some cannot be read; names them.
        """
        for class_id, picked in rows.items() if self.has_pixels else ():
            self.load(class_id, picked, side)

    def all(self) -> Rows:
        """Return all images of every class."""
        return {c: range(num) for c, num in self.num_per_class.items()}

    def common_ipc(self) -> int:
        """Return the number of images in each class, where it is the same.

        Raises:
            UserError: it is not.
        """
        least, most = min(self.num_per_class.values()), max(self.num_per_class.values())
        if least != most:
            raise UserError(
                f"{self.where}: classes have {least} to {most} images; set how many of each to use, e.g. --ipc {least}."
            )
        return least


def as_logits(soft_NC: torch.Tensor, what: str) -> torch.Tensor:
    """Return soft labels as float32 logits; rows of probabilities (none below 0, sum 1) become their logarithms.

    Raises:
        UserError: a value is NaN or infinite, or half precision, in which labels are kept, cannot hold it.
    """
    import torch

    soft_NC = soft_NC.float()
    if not torch.isfinite(soft_NC.half()).all():
        raise UserError(f"{what} contain NaN, infinite values, or values beyond half precision (65,504).")
    if (soft_NC >= 0).all() and ((soft_NC.sum(dim=1) - 1).abs() < _NEAR).all():
        return soft_NC.clamp(min=_LEAST).log()
    return soft_NC


_NEAR = 1e-2
"""How near to 1 probabilities sum that were kept in half precision."""


_LEAST = 2.0**-24
"""A probability below this, the least that half precision can tell from 0, counts as this much."""
