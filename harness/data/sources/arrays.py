"""Images of one size that fit into memory, and their labels: what CIFAR, IDX and SVHN files hold.

In: arrays of a whole data set. Out: an `ImageReader`, and the base class of the sources whose class ids are label numbers.
An image's name is its position in the file.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from harness.core.config.suite import Source
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress
from harness.data.decode import square
from harness.data.sources.base import ImageSource
from harness.data.split import Crop, ImageReader, Split, short_side

if TYPE_CHECKING:
    import numpy as np
    import torch


class ArrayReader(ImageReader):
    """One split in memory.

    Args:
        images: uint8 [N, C, S, S], C = 1 for grey images or 3.
        positions: per class, its images, ascending.
    """

    def __init__(self, images: np.ndarray, positions: Mapping[str, Sequence[int]]) -> None:
        self.images = images
        self.positions = positions
        self.channels = int(images.shape[1])

    def names(self, class_id: str) -> Sequence[str]:
        return [f"{position:05d}.png" for position in self.positions[class_id]]

    def read(
        self, items: Sequence[tuple[str, int]], *, size: int, crop: Crop, report: ProgressCallback = no_progress
    ) -> torch.Tensor:
        """As in the base class; at the images' own side every crop gives the image as it is."""
        import numpy as np
        import torch

        chosen = self.images[[self.positions[class_id][index] for class_id, index in items]]
        side = self.images.shape[-1]
        if not size == short_side(size, crop) == side:
            shape = (len(chosen), self.channels, size, size)
            chosen = np.stack([_resized(image, size, crop) for image in chosen]) if items else chosen.reshape(shape)
        report("reading", len(items), len(items), "image")
        return torch.from_numpy(chosen)


def _resized(image: np.ndarray, size: int, crop: Crop) -> np.ndarray:
    """Return an image [C, S, S] at another side: [C, size, size]."""
    import numpy as np
    from PIL import Image

    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    return np.asarray(square(Image.fromarray(pixels), size, crop)).reshape(size, size, -1).transpose(2, 0, 1)


@dataclass(frozen=True)
class LabelledImages:
    """A whole data set.

    Attributes:
        images: "train" and "test" -> uint8 [N, C, S, S].
        labels: "train" and "test" -> integers [N], from 0.
    """

    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]


class ArraySource(ImageSource):
    """A source whose images all lie in memory; a subclass gives them, and which of them belong to a class."""

    @property
    @abstractmethod
    def _data(self) -> Any:
        """The data set: `images` and `labels` by split."""

    @property
    @abstractmethod
    def _positions(self) -> dict[str, dict[str, list[int]]]:
        """Per split and class of the suite, its images, ascending."""

    @property
    @abstractmethod
    def _fingerprint(self) -> str:
        """A hash, per split and class, of the pixels of its images."""

    def check(self) -> None:
        _ = self._positions

    def fingerprint(self) -> str:
        """Hash, per split and class, the pixels of the images that belong to it."""
        return self._fingerprint

    def split(self, name: str) -> Split:
        if name not in ("train", "test"):
            raise ValueError(f"unknown split {name!r}; use 'train' or 'test'")
        return Split(ArrayReader(self._data.images[name], self._positions[name]), self.class_ids)


class NumberedSource(ArraySource):
    """A folder of files with numbers for labels; a class id is its number, such as "7", so a class list may leave some out."""

    kind: ClassVar[str]
    """As in the suite's YAML."""

    class Config(Source):
        """Options of such a kind."""

        root: str = Field(min_length=1, description="folder of the files, relative to the data root")
        alternatives: tuple[str, ...] = Field(
            (),
            description="folders to try in this order if `root` does not exist, e.g. those of torchvision or Debian",
        )
        title: str = Field("", description="the data set's name in captions")
        origins: tuple[str, ...] = Field((), description="known data sets that `harness data fetch` can download")
        md5: dict[str, str] = Field(
            default_factory=dict, description="MD5 checksums of the unpacked files, checked at every read"
        )

    @property
    def place(self) -> Path | None:
        """The folder that is read, the first that is there; None: there is none."""
        places = (self.config.root, *self.config.alternatives)
        return next((self.data_root / place for place in places if (self.data_root / place).exists()), None)

    @abstractmethod
    def _read(self, folder: Path) -> LabelledImages:
        """Read the files.

        Raises:
            UserError: they are missing or damaged.
        """

    @abstractmethod
    def _about(self) -> str:
        """Return what the data are, for captions; the numbers of images and the fingerprint are added."""

    @cached_property
    def _data(self) -> LabelledImages:
        if self.place is None:
            others = f" (or {', '.join(self.config.alternatives)})" if self.config.alternatives else ""
            fetched = " `harness data fetch SUITE` downloads it." if self.config.origins else ""
            raise UserError(
                f"source {self.kind!r}: {self.data_root / self.config.root} does not exist. Put the data "
                f"there{others}, or change the data root.{fetched}"
            )
        return self._read(self.place)

    @cached_property
    def _positions(self) -> dict[str, dict[str, list[int]]]:
        """Per split and class of the suite, its images, ascending.

        Raises:
            UserError: a class is no number, or a split has no image of it.
        """
        import numpy as np

        wrong = [c for c in self.class_ids if not (c.isascii() and c.isdigit() and str(int(c)) == c)]
        if wrong:
            raise UserError(
                f"source {self.kind!r}: class {', '.join(map(repr, wrong[:10]))} is not a label. The files have "
                "numeric labels: use the numbers as class ids, followed by readable names, as in `3  Dress`."
            )
        found = {
            split: {c: np.flatnonzero(labels == int(c)).tolist() for c in self.class_ids}
            for split, labels in self._data.labels.items()
        }
        for split, by_class in found.items():
            empty = [c for c, own in by_class.items() if not own]
            if empty:
                there = ", ".join(map(str, np.unique(self._data.labels[split])[:20].tolist()))
                raise UserError(
                    f"source {self.kind!r}: the {split} split has no images of class {', '.join(empty[:10])}. Its "
                    f"labels: {there}."
                )
        return found

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.kind} 1\n".encode())
        for split, by_class in self._positions.items():
            images = self._data.images[split]
            digest.update(f"{split}\x1f{list(images.shape[1:])}\n".encode())
            for class_id, positions in by_class.items():
                digest.update(f"{class_id}\x1f{len(positions)}\n".encode())
                digest.update(images[positions].tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        num = {split: sum(map(len, by_class.values())) for split, by_class in self._positions.items()}
        return f"{self._about()} ({num['train']:,} train / {num['test']:,} test; fingerprint {self.fingerprint()[:8]})"
