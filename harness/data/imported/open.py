"""Open a set that was made elsewhere, by what lies at its path."""

from __future__ import annotations

from pathlib import Path

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data.imported.base import ImportedSet
from harness.data.imported.folder import ImportedFolder
from harness.data.imported.layouts import pair_in
from harness.data.imported.pixels import NONE, Pixels
from harness.data.imported.read import TENSORS
from harness.data.imported.tensors import open_tensors


def open_imported(
    path: str | Path,
    classes: tuple[ClassInfo, ...],
    *,
    labels_path: str | Path | None = None,
    order: str | None = None,
    pixels: Pixels | None = None,
) -> ImportedSet:
    """Open a folder or a file of tensors and check everything but the pixels of image files.

    Args:
        path: a folder with one folder a class, a file of tensors, or a folder that holds images.pt and labels.pt.
        classes: of the suite, in label order.
        labels_path: the separate file of labels, if any.
        order: meaning of numeric classes; see `harness.data.imported.class_order`.
        pixels: how tensors are read; None: of a suite in colour, uint8 or in [0, 1].

    Returns:
        The first set; where the file holds several, all are in its `sets`.

    Raises:
        UserError: it does not exist, or does not fit the suite.
    """
    place, pixels = Path(path), pixels or Pixels()
    own_labels = None if labels_path is None else Path(labels_path)
    for found in filter(None, (place, own_labels)):
        if not found.exists():
            raise UserError(
                f"{found} does not exist. Expected a folder with one folder of images per class, or a file of tensors "
                f"({', '.join(TENSORS)})."
            )
    if place.is_dir():
        pair = pair_in(place)
        if pair is None:
            return _folder(place, own_labels, classes, order, pixels)
        place, own_labels = pair[0], own_labels or pair[1]
    for found in filter(None, (place, own_labels)):
        if found.suffix.lower() not in TENSORS:
            raise UserError(
                f"{found} is neither a folder of class folders nor a file of tensors ({', '.join(TENSORS)}). Unpack "
                "archives first."
            )
    return open_tensors(place, own_labels, classes, order, pixels)


def _folder(
    place: Path, labels: Path | None, classes: tuple[ClassInfo, ...], order: str | None, pixels: Pixels
) -> ImportedSet:
    if pixels.normalised not in (None, NONE) or pixels.keep_float:
        option = "--keep-float" if pixels.keep_float else "--normalised"
        raise UserError(f"{place}: {option} applies only to tensors; image files are used unchanged.")
    if labels is not None:
        raise UserError(f"{place} is a folder of images; a second file (labels) works only with tensors.")
    return ImportedFolder(place, classes, order, pixels.channels)
