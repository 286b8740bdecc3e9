"""Read images by class from folders: one folder a class, or one flat folder with labels.

In: a folder. Out: an `ImageReader`, and everything that makes it unusable for some classes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import did_you_mean
from harness.core.io import file_sha256
from harness.core.progress import ProgressCallback, no_progress
from harness.data.decode import read_files
from harness.data.sources.flat_labels import find_labels, read_labels
from harness.data.sources.listing import KEEP_FROM, ClassFolder, KeptListings, list_folder, list_many
from harness.data.split import Crop, ImageReader, groups_of_equals

if TYPE_CHECKING:
    import torch


EXTENSIONS = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings that count as images, whatever their case; what torchvision's ImageFolder takes."""


_MAX_LISTED = 20


class FolderReader(ImageReader):
    """Class folders below `root`; listed once.

    Args:
        root: folder that holds the class folders.
        extensions: lower-case endings that count as images.
        keep: keep the listings of a large tree on disk; see `harness.data.sources.listing`.
        subfolder: folder in each class folder that holds its images; empty: the class folder itself.
    """

    def __init__(
        self, root: Path, extensions: tuple[str, ...] = EXTENSIONS, *, keep: bool = False, subfolder: str = ""
    ) -> None:
        self.root = root
        self.extensions = extensions
        self.keep = keep
        self.subfolder = subfolder
        self._folders: dict[str, ClassFolder] = {}
        self._failed: dict[str, OSError] = {}
        self._names = lru_cache(maxsize=16)(lambda class_id: self.folder(class_id).names)

    def index(self, class_ids: Sequence[str], report: ProgressCallback = no_progress, *, anew: bool = False) -> None:
        """List the folders of these classes, as far as that is not done; kept listings are used unless `anew`.

        Args:
            class_ids: the classes.
            report: told the folders listed.
            anew: ask the file system for every file, whatever was kept before.
        """
        kept, total = KeptListings(self.root, self.extensions), len(class_ids)
        wanted = [c for c in class_ids if c not in self._folders and c not in self._failed]
        if self.keep and not anew:
            for c in wanted:
                if (folder := kept.load(self._place(c))) is not None:
                    self._folders[c] = folder
        wanted = [c for c in wanted if c not in self._folders]
        num_done = total - len(wanted)

        def done(num_images: int) -> None:
            nonlocal num_done
            num_done += 1
            report("listing", num_done, total, "folder")

        listed = list_many(self.root, [self._place(c) for c in wanted], self.extensions, done)
        found = {c: listed[self._place(c)] for c in wanted}
        for c, (answer, _) in found.items():
            if isinstance(answer, OSError):
                self._failed[c] = answer
            else:
                self._folders[c] = answer
        if self.keep and sum(map(len, self._folders.values())) >= KEEP_FROM:
            for c, (answer, mtime_ns) in found.items():
                if isinstance(answer, ClassFolder):
                    kept.save(self._place(c), answer, mtime_ns)

    def _place(self, class_id: str) -> str:
        """Return where the images of a class lie below the root."""
        return os.path.join(class_id, self.subfolder) if self.subfolder else class_id

    def folder(self, class_id: str) -> ClassFolder:
        """Return the listing of a class.

        Raises:
            OSError: the class has no folder, or it cannot be read.
        """
        if class_id not in self._folders:
            self.index([class_id])
        if class_id in self._failed:
            raise self._failed[class_id]
        return self._folders[class_id]

    def names(self, class_id: str) -> Sequence[str]:
        return self._names(class_id)

    def path(self, class_id: str, name: str) -> Path:
        """Return where an image lies."""
        return self.root / self._place(class_id) / name

    def copies(self, class_id: str) -> list[list[int]]:
        """As in the base class: files with equal bytes. Only files of equal size are read."""
        folder, names = self.folder(class_id), self.names(class_id)
        return [
            [same[k] for k in equal]
            for same in groups_of_equals(folder.sizes)
            for equal in groups_of_equals([file_sha256(self.path(class_id, names[i])) for i in same])
        ]

    def read(
        self, items: Sequence[tuple[str, int]], *, size: int, crop: Crop, report: ProgressCallback = no_progress
    ) -> torch.Tensor:
        paths = [self.path(class_id, self.names(class_id)[index]) for class_id, index in items]
        return read_files(paths, size=size, crop=crop, report=report)

    def problems(self, class_ids: Sequence[str]) -> list[str]:
        """Return everything that makes the folder unusable for these classes, one line each; empty: none."""
        if not self.root.is_dir():
            return [f"folder {self.root} does not exist"]
        self.index(class_ids)
        absent, empty, damaged = [], [], []
        num_empty_files = num_files = 0
        for c in class_ids:
            try:
                folder = self.folder(c)
            except (FileNotFoundError, NotADirectoryError):
                absent.append(c)
                continue
            except OSError as error:
                damaged.append(f"{self.root / self._place(c)}: {error.strerror or error}")
                continue
            num_files += len(folder)
            if not len(folder):
                empty.append(f"{c} ({folder.num_ignored} other entries)" if folder.num_ignored else c)
            elif min(folder.sizes) <= 0:
                damaged += [
                    f"{self.path(c, name)}: {'a broken symbolic link' if size < 0 else 'empty file (0 bytes)'}"
                    for name, size in zip(folder.names, folder.sizes, strict=True)
                    if size <= 0
                ]
                num_empty_files += sum(size == 0 for size in folder.sizes)
        lines = [self._about_absent(absent, len(class_ids))] if absent else []
        if empty:
            lines.append(f"{self.root} has no images in {len(empty)} of {len(class_ids)} class folders: {_some(empty)}")
        if damaged:
            advice = ""
            if num_empty_files > 1 and 2 * num_empty_files >= num_files:
                advice = ". This many empty files suggest an interrupted copy or unpacking: unpack the data again"
            lines.append(f"{self.root} has {len(damaged)} unreadable entries: {_some(damaged)}{advice}")
        return lines

    def _about_absent(self, absent: list[str], num_classes: int) -> str:
        if self.subfolder and (self.root / absent[0]).is_dir():
            return (
                f"{self.root} has no folder {self._place(absent[0])}, so {len(absent)} of {num_classes} classes are "
                "missing."
            )
        entries = [entry.name for entry in self.root.iterdir()]
        packed = sum(name.endswith(".tar") for name in entries)
        hint = did_you_mean(absent[0], entries)
        if packed:
            hint = f" It contains {packed} .tar files: unpack each into a folder of the same name."
        return f"{self.root} has no folder for {len(absent)} of {num_classes} classes: {_some(absent)}.{hint}"


class FlatStore(FolderReader):
    """Images of all classes in one folder; a file tells the class of each.

    Args:
        root: the folder with the images.
        extensions: lower-case endings that count as images.
        labels: the file; see `harness.data.sources.flat_labels`.
    """

    def __init__(self, root: Path, extensions: tuple[str, ...], labels: Path) -> None:
        super().__init__(root, extensions, keep=True)
        self.labels = labels
        self.num_unlabelled = 0
        self._num_missing: Counter[str] = Counter()

    def path(self, class_id: str, name: str) -> Path:
        return self.root / name

    def index(self, class_ids: Sequence[str], report: ProgressCallback = no_progress, *, anew: bool = False) -> None:
        """List the folder and give each image to its class; all classes are known after that."""
        if self._folders:
            return
        kept = KeptListings(self.root.parent, self.extensions)
        mtime_ns = self.root.stat().st_mtime_ns
        whole = None if anew else kept.load(self.root.name)
        if whole is None:
            whole = list_folder(self.root, self.extensions)
            if len(whole) >= KEEP_FROM:
                kept.save(self.root.name, whole, mtime_ns)
        labels = read_labels(self.labels)
        of_class: dict[str, list[tuple[bytes, int]]] = {class_id: [] for class_id in labels.values()}
        seen = set()
        for raw, size in zip(whole.raw_names, whole.sizes, strict=True):
            stem = os.path.splitext(os.fsdecode(raw))[0]
            if (label := labels.get(stem)) is None:
                self.num_unlabelled += 1
            else:
                seen.add(stem)
                of_class[label].append((raw, size))
        self._folders = {c: ClassFolder.of(found, 0) for c, found in of_class.items()}
        self._num_missing = Counter(class_id for stem, class_id in labels.items() if stem not in seen)
        report("listing", len(class_ids), len(class_ids), "folder")

    def folder(self, class_id: str) -> ClassFolder:
        self.index([class_id])
        if class_id not in self._folders:
            raise FileNotFoundError(f"{self.labels} names no images of class {class_id}")
        return self._folders[class_id]

    def problems(self, class_ids: Sequence[str]) -> list[str]:
        """As in the base class; also images that the labels name and the folder lacks."""
        lines = super().problems(class_ids)
        if missing := [f"{c} ({n} files)" for c in class_ids if (n := self._num_missing[c])]:
            lines.append(f"{self.root} lacks images listed in {self.labels}, of: {_some(missing)}")
        if self.num_unlabelled:
            lines.append(f"{self.root} has {self.num_unlabelled:,} images that are not listed in {self.labels}")
        return lines

    def _about_absent(self, absent: list[str], num_classes: int) -> str:
        hint = did_you_mean(absent[0], sorted(self._folders))
        return f"{self.labels} names no images of {len(absent)} of {num_classes} classes: {_some(absent)}.{hint}"


def make_test_store(
    root: Path, folder: Path, class_ids: Sequence[str], extensions: tuple[str, ...], labels: str | None
) -> FolderReader:
    """Return the store of a test split: class folders where there are any, else one flat folder with labels.

    Raises:
        UserError: the folder is flat and nothing tells the classes.
    """
    if not folder.is_dir() or any((folder / c).is_dir() for c in class_ids) or not _has_images(folder, extensions):
        return FolderReader(folder, extensions, keep=True)
    return FlatStore(folder, extensions, find_labels(root, folder, labels))


def _has_images(folder: Path, extensions: tuple[str, ...]) -> bool:
    with os.scandir(folder) as entries:
        return any(
            e.name.lower().endswith(extensions) and not e.name.startswith(".") and not e.is_dir() for e in entries
        )


def _some(items: list[str]) -> str:
    more = f" and {len(items) - _MAX_LISTED} more" if len(items) > _MAX_LISTED else ""
    return ", ".join(items[:_MAX_LISTED]) + more
