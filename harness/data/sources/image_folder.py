"""Images in folders, one folder a class, as ImageNet: ROOT/train/WNID/*.JPEG and ROOT/val/WNID/*.JPEG.

In: the folder and the class list. Out: two splits. Folders of classes that the list does not name are left alone. In a
class folder only files count; hidden files and other extensions are ignored, and counted. Links are followed. ImageNet's
`val` may also be one folder of 50,000 files with their classes in a file beside it (`harness.data.sources.flat_labels`).
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property, partial
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from harness.core.config.suite import Source
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress
from harness.core.text import times
from harness.data.dataset_cards import UNKNOWN, differences, recognise
from harness.data.decode import short_side_of_file
from harness.data.sources.base import ImageSource, register_source
from harness.data.sources.folder_reader import EXTENSIONS, FolderReader, make_test_store
from harness.data.split import Split

_NUM_MEASURED = 12


_MAX_REMARKED = 10


@register_source("image_folder")
class ImageFolder(ImageSource):
    """Two folders of class folders."""

    class Config(Source):
        """Options of `kind: image_folder`."""

        root: str = Field(min_length=1, description="folder of the data set, relative to the data root")
        train_dir: str = Field("train", min_length=1, description="training split, relative to `root`")
        train_subfolder: str = Field(
            "",
            description="subfolder of each training class folder that contains the images; empty: the class folder itself",
        )
        test_dir: str = Field("val", min_length=1, description="test split, relative to `root`")
        test_labels: str | None = Field(
            None,
            description=(
                "file with the class of each image of a flat test folder, relative to `root`; null: found automatically"
            ),
        )
        origins: tuple[str, ...] = Field(
            (),
            description="known data sets that contain these classes: names in datasets/sources/, or YAML files of that kind",
        )
        extensions: tuple[str, ...] = Field(
            EXTENSIONS, min_length=1, description="file extensions of images, case-insensitive"
        )

        @field_validator("extensions")
        @classmethod
        def _dotted(cls, extensions: tuple[str, ...]) -> tuple[str, ...]:
            bad = [e for e in extensions if not e.startswith(".") or len(e) < 2]
            if bad:
                raise ValueError(f"{bad} must start with a dot, e.g. '.jpeg'")
            return tuple(e.lower() for e in extensions)

        @model_validator(mode="after")
        def _two_folders(self) -> ImageFolder.Config:
            if os.path.normpath(self.train_dir) == os.path.normpath(self.test_dir):
                raise ValueError(
                    f"train_dir and test_dir are both {self.train_dir!r}: students would be tested on their training "
                    "images"
                )
            return self

    @cached_property
    def _stores(self) -> dict[str, FolderReader]:
        root, cfg = self.data_root / self.config.root, self.config
        test = make_test_store(root, root / cfg.test_dir, self.class_ids, cfg.extensions, cfg.test_labels)
        train = FolderReader(root / cfg.train_dir, cfg.extensions, keep=True, subfolder=cfg.train_subfolder)
        return {"train": train, "test": test}

    def check(self) -> None:
        self._check("train", "test")

    def index(self, report: ProgressCallback = no_progress, *, anew: bool = False) -> None:
        """List both splits; see `harness.data.sources.listing` for what is kept, and where."""
        self._check_root()
        num, total = len(self.class_ids), len(self._stores) * len(self.class_ids)
        for position, store in enumerate(self._stores.values()):
            if store.root.is_dir():
                told = partial(_shifted, report, position * num, total)
                store.index(self.class_ids, told, anew=anew)

    def fingerprint(self) -> str:
        """Hash, per split, the classes in label order and their files' names and sizes; not the pixels, not the path.

        Archives of one data set in two sizes differ in the sizes of their files, so they have two fingerprints. A flat
        test folder with labels has that of the same images in class folders.

        Raises:
            UserError: as `check`.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        self.check()
        digest = hashlib.sha256(b"image_folder 1\n")
        for split, store in self._stores.items():
            for class_id in self.class_ids:
                folder = store.folder(class_id)
                digest.update(f"{split}\x1f{class_id}\x1f{len(folder)}\n".encode())
                pairs = zip(folder.raw_names, folder.sizes, strict=True)
                digest.update(b"".join(b"%b\x1f%d\n" % pair for pair in pairs))
        return digest.hexdigest()

    def split(self, name: str) -> Split:
        if name not in ("train", "test"):
            raise ValueError(f"unknown split {name!r}; use 'train' or 'test'")
        self._check(name)
        return Split(self._stores[name], self.class_ids)

    def describe(self) -> str:
        fingerprint = self.fingerprint()
        parts, num_ignored = [], 0
        for split, store in self._stores.items():
            folders = [store.folder(c) for c in self.class_ids]
            num_ignored += sum(f.num_ignored for f in folders)
            parts.append(f"{sum(map(len, folders)):,} {split} images in {store.root.name}")
        ignored = f", {num_ignored:,} other entries ignored" if num_ignored else ""
        origin = f": {self.origin}" if self.config.origins else ""
        return f"image folder {self.config.root}{origin} ({', '.join(parts)}{ignored}; fingerprint {fingerprint[:8]})"

    @cached_property
    def origin(self) -> str:
        """Which of the known data sets this is, by its content: the folder's name may say anything.

        Raises:
            UserError: as `check`, or an origin is unknown.
        """
        self.check()
        return recognise(self.config.origins, self._num_images(), self._short_sides)

    def _num_images(self) -> dict[str, dict[str, int]]:
        return {split: {c: len(s.folder(c)) for c in self.class_ids} for split, s in self._stores.items()}

    def _short_sides(self) -> list[int]:
        """Return the short sides, in pixels, of some images, spread over classes and splits."""
        some = self.class_ids[:: max(1, len(self.class_ids) // _NUM_MEASURED)]
        each = -(-_NUM_MEASURED // len(some))
        return [
            short_side_of_file(store.path(c, name))
            for store in self._stores.values()
            for c in some
            for name in store.names(c)[:each]
        ]

    def files(self, split: str, class_id: str) -> list[Path]:
        store = self._stores[split]
        try:
            folder = store.folder(class_id)
        except OSError:
            return []
        sized = zip(folder.names, folder.sizes, strict=True)
        return [store.path(class_id, name) for name, size in sized if size > 0]

    def remarks(self) -> list[str]:
        lines = []
        for split, store in self._stores.items():
            others = [name for name in _folders(store.root) if name not in self.class_ids]
            if 0 < len(others) <= len(self.class_ids):  # more: a suite of a few classes of a large data set
                shown = ", ".join(others[:_MAX_REMARKED])
                lines.append(f"{split}: {times(len(others), 'folder')} not in the class list, ignored: {shown}")
            ignored = {c: n for c in self.class_ids if (n := store.folder(c).num_ignored)}
            if ignored:
                shown = ", ".join(f"{c}: {n:,}" for c, n in list(ignored.items())[:_MAX_REMARKED])
                lines.append(f"{split}: {sum(ignored.values()):,} entries do not have an image extension ({shown})")
        if self.config.origins and self.origin.startswith(UNKNOWN):
            lines += differences(self.config.origins, self._num_images())
        return lines

    def _check_root(self) -> None:
        root = self.data_root / self.config.root
        if not root.is_dir():
            cfg = self.config
            inside = f"{cfg.train_subfolder}/" if cfg.train_subfolder else ""
            test = f"CLASS/{inside}*.jpg and {cfg.test_dir}/CLASS/*.jpg"
            if cfg.test_labels is not None:
                test = f"CLASS/{inside}*.jpg and {cfg.test_dir}/*.jpg with {cfg.test_labels}"
            raise UserError(
                f"source 'image_folder': folder {root} does not exist. Put the data there, as {cfg.train_dir}/{test}, "
                "or change the data root (its parent). `harness data check SUITE` shows how to get it."
            )

    def _check(self, *splits: str) -> None:
        self._check_root()
        problems = [line for split in splits for line in self._problems(split)]
        if problems:
            raise UserError("source 'image_folder' is incomplete:\n  " + "\n  ".join(problems))

    def _problems(self, split: str) -> list[str]:
        if split not in self._found_problems:
            self._found_problems[split] = self._stores[split].problems(self.class_ids) + self._hint(split)
        return self._found_problems[split]

    def _hint(self, split: str) -> list[str]:
        """Say which folders there are where that of a split does not exist."""
        if self._stores[split].root.is_dir():
            return []
        there = _folders(self.data_root / self.config.root)
        return [
            f"{self.data_root / self.config.root} has: {', '.join(there[:_MAX_REMARKED]) or 'no folders'}. If one of them has "
            f"the {split} images, set {split}_dir in the suite's source, or --set data.{split}_dir=FOLDER"
        ]

    @cached_property
    def _found_problems(self) -> dict[str, list[str]]:
        return {}


def _shifted(report: ProgressCallback, shift: int, total: int, stage: str, done: int, _: int, unit: str) -> None:
    """Tell the progress of one of several splits as a part of all."""
    report(stage, shift + done, total, unit)


def _folders(root: Path) -> list[str]:
    """Return the names of the folders in a folder; none where there is no such folder."""
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
