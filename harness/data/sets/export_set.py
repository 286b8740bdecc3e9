"""A distilled set that is to be written elsewhere: its files, labels, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.classes import ClassInfo

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ExportedSet:
    """What is written.

    Attributes:
        classes: of the suite, in label order.
        images: per class id, its PNG files in order.
        labels: class id -> stored soft labels [n, C]; None: there are none.
        about: where the set comes from; plain JSON.
    """

    classes: tuple[ClassInfo, ...]
    images: dict[str, list[Path]]
    labels: dict[str, torch.Tensor] | None
    about: dict[str, Any]

    def items(self) -> Iterator[tuple[ClassInfo, int, Path]]:
        """Yield class, number within the class, and file of every image, class after class."""
        for c in self.classes:
            for number, path in enumerate(self.images[c.id]):
                yield c, number, path

    def soft_label(self, c: ClassInfo, number: int) -> list[float] | None:
        """Return the stored soft label of an image, or None."""
        return None if self.labels is None else self.labels[c.id][number].float().tolist()
