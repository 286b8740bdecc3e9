"""Open a set that was made elsewhere, by what lies at its path."""

from __future__ import annotations

from pathlib import Path

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data.imported.base import TENSORS, ImportedSet
from harness.data.imported.folder import ImportedFolder
from harness.data.imported.tensors import ImportedTensors


def open_imported(
    path: str | Path,
    classes: tuple[ClassInfo, ...],
    *,
    order: str | None = None,
    normalised: str | None = None,
    channels: int = 3,
) -> ImportedSet:
    """Open a folder or a file of tensors and check everything but the pixels of image files.

    Args:
        path: a folder with one folder a class, or a file (.pt, .npz, .safetensors).
        classes: of the suite, in label order.
        order: what numbers in place of class ids mean; see `harness.data.imported.class_order`.
        normalised: "MEAN,MEAN,MEAN/STD,STD,STD" that float tensors were normalised with; None: they are in [0, 1].
        channels: of the suite's images: 3, or 1 (grey).

    Raises:
        UserError: it does not exist, or does not fit the suite.
    """
    place = Path(path)
    if place.is_dir():
        if normalised is not None:
            raise UserError(f"{place}: --normalised is for tensors; image files are taken as they are.")
        return ImportedFolder(place, classes, order, channels)
    if not place.exists():
        raise UserError(
            f"{place} does not exist. Give a folder with one folder of images a class, or a file of tensors "
            f"({', '.join(TENSORS)})."
        )
    if place.suffix.lower() not in TENSORS:
        raise UserError(
            f"{place} is neither a folder of class folders nor a file of tensors ({', '.join(TENSORS)}). "
            "Unpack an archive first."
        )
    return ImportedTensors(place, classes, order, normalised, channels)
