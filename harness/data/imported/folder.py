"""A given folder with one folder a class, and soft labels beside them where `harness export` (or somebody) put them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.core.io import file_sha256
from harness.data.channels import is_grey
from harness.data.decode import size_of_file
from harness.data.imported.base import ImportedSet, Rows, as_logits
from harness.data.imported.class_order import classes_of_folders, classes_of_numbers
from harness.data.sets.soft_labels import LABELS_FILE, read_labels
from harness.data.sources.folder_reader import FolderReader

if TYPE_CHECKING:
    import torch


class ImportedFolder(ImportedSet):
    """Class folders below `root`, their images in byte order; files beside the class folders are left alone.

    Raises:
        UserError: class folders are missing, unknown or empty, or hold dead links or empty files.
    """

    def __init__(self, root: Path, classes: tuple[ClassInfo, ...], order: str | None, channels: int = 3) -> None:
        self.where, self.classes, self._channels = str(root), classes, channels
        self._class_order = order
        names = [p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")]
        if not names:
            raise UserError(
                f"{root} has no class folders. Expected one folder per class, named by class id "
                f"({', '.join(c.id for c in classes[:3])}, ...) or its number."
            )
        self._folders, self.order = classes_of_folders(names, classes, order, self.where)
        self._store = FolderReader(root)
        problems = self._store.problems(list(self._folders.values()))
        if problems:
            raise UserError("the images are incomplete:\n  " + "\n  ".join(problems))

    @property
    def num_per_class(self) -> dict[str, int]:
        return {c.id: len(self._store.folder(self._folders[c.id])) for c in self.classes}

    @property
    def has_labels(self) -> bool:
        return (self._store.root / LABELS_FILE).is_file()

    def _paths(self, class_id: str, rows: Sequence[int]) -> list[Path]:
        folder = self._folders[class_id]
        names = self._store.names(folder)
        return [self._store.path(folder, names[row]) for row in rows]

    def side(self, rows: Rows) -> int | None:

        sizes = {size_of_file(path) for c, picked in rows.items() for path in self._paths(c, picked)}
        width, height = sizes.pop()
        return width if not sizes and width == height and width > 0 else None

    def load(self, class_id: str, rows: Sequence[int], side: int) -> torch.Tensor:
        images = self._store.read([(self._folders[class_id], row) for row in rows], size=side, crop="resize")
        if self._channels == 1 and not is_grey(images):
            raise UserError(
                f"{self.where}: class {class_id!r} has colour images, but the suite is grey (channels: 1). Use grey "
                'images, e.g. with Pillow\'s image.convert("L"), or a colour suite.'
            )
        return images[:, : self._channels].contiguous()

    def soft_labels(self, class_id: str, rows: Sequence[int]) -> torch.Tensor:
        labels, columns = self._labels
        own = labels.get(class_id, labels.get(self._folders[class_id]))
        num = self.num_per_class[class_id]
        if own is None or own.ndim != 2 or tuple(own.shape) != (num, len(columns)) or not own.is_floating_point():
            found = "none" if own is None else f"{own.dtype} {list(own.shape)}"
            raise UserError(
                f"{self._store.root / LABELS_FILE}: soft labels of class {class_id!r} are {found}; expected float "
                f"[{num}, {len(columns)}], one row per image of its folder."
            )
        return as_logits(own, f"{self._store.root / LABELS_FILE}: soft labels of class {class_id!r}")[list(rows)][
            :, columns
        ]

    @cached_property
    def _labels(self) -> tuple[dict[str, torch.Tensor], list[int]]:
        """Return the labels by class, and which column is the suite's label 0, 1, 2, ..."""
        path = self._store.root / LABELS_FILE
        if not path.is_file():
            raise UserError(f"{self.where} has no soft labels ({LABELS_FILE}); omit --labels own.")
        labels, ids = read_labels(path)
        if ids is None:
            ids = list(classes_of_numbers(self.classes, self._class_order, f"{path} does not name its columns")[0])
        if sorted(ids) != sorted(c.id for c in self.classes):
            raise UserError(f"{path}: its columns are {len(ids)} classes that differ from those of the suite.")
        return labels, [ids.index(c.id) for c in self.classes]

    def fingerprint(self, rows: Rows, *, labels: bool) -> str:
        digest = hashlib.sha256(b"given folder 1\n")
        for c in self.classes:
            digest.update(f"{c.id}\n".encode())
            for path in self._paths(c.id, rows[c.id]):
                digest.update(file_sha256(path).encode())
            if labels:
                digest.update(self.soft_labels(c.id, rows[c.id]).numpy().tobytes())
        return digest.hexdigest()
