"""Images in folders, one folder a class, as ImageNet: ROOT/train/WNID/*.JPEG and ROOT/val/WNID/*.JPEG.

In: the folder and the class list. Out: two splits. Folders of classes that the list does not name are left alone. In a
class folder only files count; hidden files and other extensions are ignored, and counted. Links are followed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator, model_validator

from harness.config import Source
from harness.data.decode import read_files
from harness.data.sources import ImageSource, register_source
from harness.data.split import Crop, ImageStore, Progress, Split
from harness.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import torch

EXTENSIONS = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings that count as images, whatever their case; what torchvision's ImageFolder takes."""

_MAX_LISTED = 20


@dataclass(frozen=True)
class ClassFolder:
    """What one class folder holds.

    Attributes:
        names: image files in byte order.
        sizes: their sizes in bytes; -1 for a link that leads nowhere.
        num_ignored: other entries: hidden files, other endings, folders.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    num_ignored: int


class FolderStore(ImageStore):
    """Class folders below `root`; listed once, at the first question about a class.

    Args:
        root: folder that holds the class folders.
        extensions: lower-case endings that count as images.
    """

    def __init__(self, root: Path, extensions: tuple[str, ...] = EXTENSIONS) -> None:
        self.root = root
        self._extensions = extensions
        self._folders: dict[str, ClassFolder] = {}

    def folder(self, class_id: str) -> ClassFolder:
        """Return the listing of a class.

        Raises:
            OSError: the class has no folder, or it cannot be read.
        """
        if class_id not in self._folders:
            self._folders[class_id] = self._list(self.root / class_id)
        return self._folders[class_id]

    def names(self, class_id: str) -> Sequence[str]:
        return self.folder(class_id).names

    def read(
        self, items: Sequence[tuple[str, int]], *, size: int, crop: Crop, report: Progress | None = None
    ) -> torch.Tensor:
        paths = [self.root / class_id / self.names(class_id)[index] for class_id, index in items]
        return read_files(paths, size=size, crop=crop, report=report)

    def problems(self, class_ids: Sequence[str]) -> list[str]:
        """Return everything that makes the folder unusable for these classes, one line each; empty: none."""
        if not self.root.is_dir():
            return [f"folder {self.root} does not exist"]
        absent, empty, damaged = [], [], []
        for c in class_ids:
            try:
                folder = self.folder(c)
            except (FileNotFoundError, NotADirectoryError):
                absent.append(c)
                continue
            except OSError as error:
                damaged.append(f"{self.root / c}: {error.strerror or error}")
                continue
            if not folder.names:
                empty.append(f"{c} ({folder.num_ignored} other entries)" if folder.num_ignored else c)
            damaged += [
                f"{self.root / c / name}: {'a link that leads nowhere' if size < 0 else 'empty file (0 bytes)'}"
                for name, size in zip(folder.names, folder.sizes, strict=True)
                if size <= 0
            ]
        lines = []
        if absent:
            hint = did_you_mean(absent[0], [entry.name for entry in self.root.iterdir()])
            lines.append(
                f"{self.root} has no folder for {len(absent)} of {len(class_ids)} classes: {_some(absent)}.{hint}"
            )
        if empty:
            lines.append(f"{self.root} has no image in {len(empty)} of {len(class_ids)} class folders: {_some(empty)}")
        if damaged:
            lines.append(f"{self.root} has {len(damaged)} unreadable entries: {_some(damaged)}")
        return lines

    def _list(self, path: Path) -> ClassFolder:
        found, num_ignored = [], 0
        with os.scandir(path) as entries:
            for entry in entries:
                is_image = entry.name.lower().endswith(self._extensions) and not entry.name.startswith(".")
                if not is_image or entry.is_dir():
                    num_ignored += 1
                else:
                    found.append((entry.name, _size(entry)))
        found.sort(key=lambda item: os.fsencode(item[0]))
        return ClassFolder(tuple(n for n, _ in found), tuple(s for _, s in found), num_ignored)


@register_source("image_folder")
class ImageFolder(ImageSource):
    """Two folders of class folders."""

    class Config(Source):
        """Options of `kind: image_folder`."""

        root: str = Field(min_length=1, description="folder of the data set, relative to the data root")
        train_dir: str = Field("train", min_length=1, description="training split, relative to `root`")
        test_dir: str = Field("val", min_length=1, description="test split, relative to `root`")
        extensions: tuple[str, ...] = Field(
            EXTENSIONS, min_length=1, description="endings that count as images, whatever their case"
        )

        @field_validator("extensions")
        @classmethod
        def _dotted(cls, extensions: tuple[str, ...]) -> tuple[str, ...]:
            bad = [e for e in extensions if not e.startswith(".") or len(e) < 2]
            if bad:
                raise ValueError(f"{bad} must begin with a dot, as in '.jpeg'")
            return tuple(e.lower() for e in extensions)

        @model_validator(mode="after")
        def _two_folders(self) -> ImageFolder.Config:
            if os.path.normpath(self.train_dir) == os.path.normpath(self.test_dir):
                raise ValueError(
                    f"train_dir and test_dir are both {self.train_dir!r}: students would be tested on what they saw"
                )
            return self

    @cached_property
    def _stores(self) -> dict[str, FolderStore]:
        root = self.data_root / self.config.root
        folders = {"train": self.config.train_dir, "test": self.config.test_dir}
        return {name: FolderStore(root / folder, self.config.extensions) for name, folder in folders.items()}

    def check(self) -> None:
        self._check("train", "test")

    def fingerprint(self) -> str:
        """Hash, per split, the classes in label order and their files' names and sizes; not the pixels, not the path.

        Raises:
            UserError: as `check`.
        """
        self.check()
        digest = hashlib.sha256(b"image_folder 1\n")
        for split, store in self._stores.items():
            for class_id in self.class_ids:
                folder = store.folder(class_id)
                digest.update(f"{split}\x1f{class_id}\x1f{len(folder.names)}\n".encode())
                for name, size in zip(folder.names, folder.sizes, strict=True):
                    digest.update(os.fsencode(name) + f"\x1f{size}\n".encode())
        return digest.hexdigest()

    def split(self, name: str) -> Split:
        if name not in self._stores:
            raise ValueError(f"split {name!r} is not known; use 'train' or 'test'")
        self._check(name)
        return Split(self._stores[name], self.class_ids)

    def describe(self) -> str:
        fingerprint = self.fingerprint()
        parts, num_ignored = [], 0
        for split, store in self._stores.items():
            folders = [store.folder(c) for c in self.class_ids]
            num_ignored += sum(f.num_ignored for f in folders)
            parts.append(f"{sum(len(f.names) for f in folders):,} {split} images in {store.root.name}")
        ignored = f", {num_ignored:,} other entries ignored" if num_ignored else ""
        return f"image folder {self.config.root} ({', '.join(parts)}{ignored}; fingerprint {fingerprint[:8]})"

    def _check(self, *splits: str) -> None:
        root = self.data_root / self.config.root
        if not root.is_dir():
            raise UserError(
                f"source 'image_folder': folder {root} does not exist. Put the data there, as "
                f"{self.config.train_dir}/CLASS/*.jpg and {self.config.test_dir}/CLASS/*.jpg, or point the data root "
                "(its parent) elsewhere."
            )
        problems = [line for split in splits for line in self._stores[split].problems(self.class_ids)]
        if problems:
            raise UserError("source 'image_folder' is not complete:\n  " + "\n  ".join(problems))


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:
        return -1


def _some(items: list[str]) -> str:
    more = f" and {len(items) - _MAX_LISTED} more" if len(items) > _MAX_LISTED else ""
    return ", ".join(items[:_MAX_LISTED]) + more
