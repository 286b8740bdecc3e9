"""Given sets of tensors: images, and labels that are numbers, one-hot or soft.

In: a file, or two, in one of the layouts of `harness.data.imported.layouts`. Out: images by class. Numbers are labels whose
order must be known; see `harness.data.imported.class_order`. Shapes: N images, C classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data.imported.base import ImportedSet, Rows, as_logits
from harness.data.imported.class_order import classes_of_numbers
from harness.data.imported.given_labels import GivenLabels, checked_soft, given_labels
from harness.data.imported.layouts import RawSet, read_sets
from harness.data.imported.pixels import ZCA, Pixels

if TYPE_CHECKING:
    import torch


def open_tensors(
    path: Path, labels_path: Path | None, classes: tuple[ClassInfo, ...], order: str | None, pixels: Pixels
) -> ImportedSet:
    """Open a file, or one of images and one of labels; further sets of it are in `sets` of what is returned.

    Raises:
        UserError: a file cannot be read safely, or a tensor is missing or has another shape, type or range.
    """
    where = str(path)
    by_number, told = classes_of_numbers(classes, order, where)
    found = []
    for raw in read_sets(path, labels_path):
        labels = given_labels(raw, len(classes), where, in_order=order is not None)
        found.append(ImportedTensors(where, classes, (by_number, told), raw, labels, pixels))
    for own in found:
        own.all_sets = tuple(found)
    return found[0]


class ImportedTensors(ImportedSet):
    """Tensors of one set, in memory.

    Args:
        where: the file, for messages.
        classes: of the suite, in label order.
        order: class ids of the numbers 0, 1, ..., and how they were told.
        raw: as it was published.
        labels: of its images.
        pixels: how its images are read.

    Raises:
        UserError: the images do not fit.
    """

    all_sets: tuple[ImportedSet, ...] = ()

    def __init__(
        self,
        where: str,
        classes: tuple[ClassInfo, ...],
        order: tuple[tuple[str, ...], str],
        raw: RawSet,
        labels: GivenLabels,
        pixels: Pixels,
    ) -> None:
        self.where, self.classes = where, classes
        self._by_number, self.order = order
        self.has_pixels, self._is_white = not pixels.is_white, pixels.normalised == ZCA
        self._images_N3SS, told = pixels.read(raw.images, where)
        self._labels_N, self._soft = labels.hard_N, labels.soft_NC
        # A whitening is undone where the real images are; the key is known before, so it counts the numbers as given.
        white = self._is_white and self.has_pixels
        self._given = replace(pixels, unwhiten=None).read(raw.images, where)[0] if white else None
        self.remarks = (*raw.remarks, *labels.remarks, *told)

    @property
    def sets(self) -> tuple[ImportedSet, ...]:
        return self.all_sets or (self,)

    @cached_property
    def _rows_of(self) -> dict[str, list[int]]:
        """class id -> where its images stand in the file."""
        return {
            class_id: (self._labels_N == number).nonzero()[:, 0].tolist()
            for number, class_id in enumerate(self._by_number)
        }

    @property
    def num_per_class(self) -> dict[str, int]:
        return {c.id: len(self._rows_of[c.id]) for c in self.classes}

    @property
    def has_labels(self) -> bool:
        return self._soft is not None

    def _in_file(self, class_id: str, rows: Sequence[int]) -> list[int]:
        own = self._rows_of[class_id]
        return [own[row] for row in rows]

    def side(self, rows: Rows) -> int | None:
        return int(self._images_N3SS.shape[-1])

    def load(self, class_id: str, rows: Sequence[int], side: int) -> torch.Tensor:
        assert side == self._images_N3SS.shape[-1], "tensors keep their own size"
        return self._images_N3SS[self._in_file(class_id, rows)]

    def soft_labels(self, class_id: str, rows: Sequence[int]) -> torch.Tensor:
        return self._logits_NC[self._in_file(class_id, rows)]

    @cached_property
    def _logits_NC(self) -> torch.Tensor:
        """Return the soft labels as logits, columns in the suite's label order."""
        if self._soft is None:
            raise UserError(f"{self.where} has no soft labels; omit --labels own.")
        place = {class_id: number for number, class_id in enumerate(self._by_number)}
        soft_NC = checked_soft(self._soft, len(self._labels_N), len(self.classes), self.where)
        return as_logits(soft_NC, f"{self.where}: soft labels")[:, [place[c.id] for c in self.classes]]

    def fingerprint(self, rows: Rows, *, labels: bool) -> str:
        images = self._images_N3SS if self._given is None else self._given
        kind = " white" if self._is_white else " float32" if images.is_floating_point() else ""
        digest = hashlib.sha256(f"given tensors 1 {tuple(images.shape[1:])}{kind}\n".encode())
        for c in self.classes:
            digest.update(f"{c.id}\n".encode())
            digest.update(images[self._in_file(c.id, rows[c.id])].numpy().tobytes())
            if labels:
                digest.update(self.soft_labels(c.id, rows[c.id]).numpy().tobytes())
        return digest.hexdigest()
