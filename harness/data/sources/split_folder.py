"""Images in one tree of class folders, without a split of its own: ROOT/CLASS/*. As AID, UC Merced and NWPU-RESISC45.

In: the folder, the class list, a ratio and a seed. Out: two splits, stratified. Which side an image falls on depends on
the seed and on the names of its class's images, so it is the same on every machine.
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path

from pydantic import Field

from harness.core.config.suite import Source
from harness.core.errors import UserError
from harness.data.sources.base import ImageSource, register_source
from harness.data.sources.image_folder import FolderReader
from harness.data.split import Split


@register_source("split_folder")
class SplitFolder(ImageSource):
    """One folder of class folders, cut into training and test images by a stated ratio and seed."""

    class Config(Source):
        """Options of `kind: split_folder`."""

        root: str = Field(min_length=1, description="folder that holds the class folders, relative to the data root")
        train_share: float = Field(
            gt=0,
            lt=1,
            description="fraction of each class used for training; rounded, at least one image in each split",
        )
        split_seed: int = Field(0, ge=0, description="seed of the split")
        origin: str = Field("", description="origin of the data set, as text")

    @property
    def _root(self) -> Path:
        return self.data_root / self.config.root

    @cached_property
    def _store(self) -> FolderReader:
        return FolderReader(self._root)

    def check(self) -> None:
        if not self._root.is_dir():
            origin = f" It comes from {self.config.origin}." if self.config.origin else ""
            raise UserError(
                f"source 'split_folder': folder {self._root} does not exist. Put the data there, as CLASS/*.jpg, or "
                f"change the data root (--set data.root=FOLDER selects another folder below it).{origin}"
            )
        problems = self._store.problems(self.class_ids)
        if not problems:
            single = [c for c in self.class_ids if len(self._store.names(c)) < 2]
            if single:
                problems = [f"{self._root} has one image in {', '.join(single[:20])}; a split needs two"]
        if problems:
            raise UserError("source 'split_folder' is incomplete:\n  " + "\n  ".join(problems))

    @cached_property
    def _indices(self) -> dict[str, dict[str, list[int]]]:
        """Per split and class, positions in the store's names, ascending."""
        self.check()
        train, test = {}, {}
        for class_id in self.class_ids:
            names = self._store.names(class_id)
            order = sorted(range(len(names)), key=lambda i: self._draw(class_id, names[i]))
            num_train = min(max(round(self.config.train_share * len(names)), 1), len(names) - 1)
            train[class_id], test[class_id] = sorted(order[:num_train]), sorted(order[num_train:])
        return {"train": train, "test": test}

    def _draw(self, class_id: str, name: str) -> bytes:
        """Return an image's lot: the lowest are trained on. A hash, so that no library's generator is part of a split."""
        return hashlib.sha256(f"{self.config.split_seed}\x1f{class_id}\x1f".encode() + os.fsencode(name)).digest()

    def fingerprint(self) -> str:
        """Hash, per split, the classes in label order and their files' names and sizes; so ratio and seed are part of it.

        Raises:
            UserError: as `check`.
        """
        digest = hashlib.sha256(b"split_folder 1\n")
        for split, by_class in self._indices.items():
            for class_id, indices in by_class.items():
                names, sizes = self._store.names(class_id), self._store.folder(class_id).sizes
                digest.update(f"{split}\x1f{class_id}\x1f{len(indices)}\n".encode())
                for i in indices:
                    digest.update(os.fsencode(names[i]) + f"\x1f{sizes[i]}\n".encode())
        return digest.hexdigest()

    def split(self, name: str) -> Split:
        if name not in ("train", "test"):
            raise ValueError(f"unknown split {name!r}; use 'train' or 'test'")
        return Split(self._store, self.class_ids, indices=self._indices[name])

    def describe(self) -> str:
        num = {split: sum(map(len, by_class.values())) for split, by_class in self._indices.items()}
        num_ignored = sum(self._store.folder(c).num_ignored for c in self.class_ids)
        ignored = f", {num_ignored:,} other entries ignored" if num_ignored else ""
        return (
            f"image folder {self.config.root} ({num['train']:,} train / {num['test']:,} test, our split: stratified, "
            f"{self.config.train_share:.0%} training, seed {self.config.split_seed}{ignored}; "
            f"fingerprint {self.fingerprint()[:8]})"
        )
