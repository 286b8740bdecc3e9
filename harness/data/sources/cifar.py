"""CIFAR-10 and CIFAR-100 from their python archives, balanced or long-tailed.

The training split keeps a part of each class by an exponential profile (`harness.data.sources.long_tail`); the test split stays
balanced. An image's name is its position in the data set's own order. Labels of the long tail are the data set's own:
class 0 is the largest, whatever the suite's class list says.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.core.config.suite import Source
from harness.core.errors import UserError, did_you_mean
from harness.data.sources.arrays import ArraySource
from harness.data.sources.base import register_source
from harness.data.sources.cifar_files import LAYOUTS, CifarData, read_cifar
from harness.data.sources.long_tail import kept_items, long_tail_counts

_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


@register_source("cifar")
class Cifar(ArraySource):
    """CIFAR-10 or CIFAR-100; class ids are the data set's own names, such as "airplane"."""

    class Config(Source):
        """Options of `kind: cifar`."""

        dataset: Literal["cifar10", "cifar100"] = Field(description="cifar10, or cifar100 with its 100 fine labels")
        root: str = Field(min_length=1, description="extracted folder of the archive, relative to the data root")
        archive: str | None = Field(
            None, description="the .tar.gz, relative to the data root: read directly if `root` does not exist"
        )
        origins: tuple[str, ...] = Field((), description="known data sets that `harness data fetch` can download")
        md5: dict[str, str] = Field(
            default_factory=dict, description="MD5 checksums of its files, checked at every read"
        )
        imbalance_factor: float = Field(
            1.0, ge=1, description="largest over smallest training class; 1: balanced, as published"
        )

    @property
    def place(self) -> Path | None:
        """The folder, or the archive where there is no folder."""
        archive = self.data_root / self.config.archive if self.config.archive else None
        return super().place or (archive if archive and archive.is_file() else None)

    @cached_property
    def _data(self) -> CifarData:
        if self.place is None:
            archive = f", or the archive {self.config.archive}," if self.config.archive else ""
            origin = " `harness data fetch SUITE` downloads it." if self.config.origins else ""
            raise UserError(
                f"source 'cifar': {self.data_root / self.config.root} does not exist. Put the folder "
                f"{self.config.root}{archive} under {self.data_root}, or change the data root.{origin}"
            )
        data = read_cifar(self.place, LAYOUTS[self.config.dataset], self.config.md5)
        unknown = [c for c in self.class_ids if c not in data.class_names]
        if unknown:
            hint = did_you_mean(unknown[0], list(data.class_names))
            raise UserError(f"source 'cifar': {self.config.dataset} has no class {', '.join(unknown[:20])}.{hint}")
        return data

    @cached_property
    def _positions(self) -> dict[str, dict[str, list[int]]]:
        """Per split and class of the suite, the images that belong to it, ascending.

        Raises:
            UserError: the imbalance leaves a class without images, or the data have none.
        """
        import numpy as np

        data, found = self._data, {}
        for split, labels in data.labels.items():
            found[split] = [np.flatnonzero(labels == label) for label in range(len(data.class_names))]
        largest, factor = max(map(len, found["train"])), self.config.imbalance_factor
        counts = long_tail_counts(largest, len(data.class_names), factor)
        if factor > 1:
            found["train"] = [np.sort(own[_kept(len(own), n)]) for own, n in zip(found["train"], counts, strict=True)]
        chosen = {
            split: {c: by_label[data.class_names.index(c)].tolist() for c in self.class_ids}
            for split, by_label in found.items()
        }
        for split, by_class in chosen.items():
            empty = [c for c, own in by_class.items() if not own]
            if empty:
                raise UserError(
                    f"source 'cifar': no {split} images of {', '.join(empty[:10])} are left at imbalance factor "
                    f"{factor:g} of {largest} images in the largest class; choose a smaller factor."
                )
        return chosen

    @cached_property
    def _fingerprint(self) -> str:
        """Of the images that belong to each class, so the imbalance is part of it."""
        digest = hashlib.sha256(b"cifar 1\n")
        for split, by_class in self._positions.items():
            for class_id, positions in by_class.items():
                digest.update(f"{split}\x1f{class_id}\x1f{len(positions)}\n".encode())
                digest.update(self._data.images[split][positions].tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        num = {split: [len(p) for p in by_class.values()] for split, by_class in self._positions.items()}
        shape = "balanced"
        if self.config.imbalance_factor > 1:
            sizes = f"{max(num['train']):,} to {min(num['train']):,} images per class"
            shape = f"long-tailed, imbalance factor {self.config.imbalance_factor:g}, {sizes}"
        return (
            f"{_TITLES[self.config.dataset]} ({shape}; {sum(num['train']):,} train / {sum(num['test']):,} test; "
            f"fingerprint {self.fingerprint()[:8]})"
        )


def _kept(num_images: int, count: int) -> list[int]:
    """Return the positions within a class that are kept; a class that is smaller than its count keeps all."""
    return kept_items(num_images, min(count, num_images))
