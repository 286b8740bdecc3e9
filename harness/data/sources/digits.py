"""scikit-learn's digits: 1,797 real images of 8x8 pixels, embedded, no download.

The split is fixed: stratified 70 % / 30 %, scikit-learn's `train_test_split` with random_state 0, which gives 1,257
training and 540 test images. An image's name is its position in scikit-learn's order. Images, targets and split lie in
datasets/digits.npz, because importing scikit-learn takes longer than everything else that a first job needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from harness.core.config.suite import Source
from harness.core.errors import UserError
from harness.core.io import data_folder
from harness.core.progress import ProgressCallback, no_progress
from harness.data.sources.base import ImageSource, register_source
from harness.data.split import Crop, ImageReader, Split, short_side

if TYPE_CHECKING:
    import numpy as np
    import torch


CLASS_IDS = tuple("0123456789")


RANDOM_STATE = 0


class DigitsData(NamedTuple):
    """What scikit-learn embeds, and our split of it.

    Attributes:
        images: uint8 [1797, 8, 8], ink from 0 to 16.
        targets: int64 [1797], digit of every image.
        positions: "train" and "test" -> ascending positions in `images`.
    """

    images: np.ndarray
    targets: np.ndarray
    positions: dict[str, np.ndarray]


@cache
def digits_data() -> DigitsData:
    """Read images, targets and split; once per process."""
    import numpy as np

    with np.load(data_folder("datasets") / "digits.npz") as file:
        is_test = file["is_test"]
        positions = {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}
        return DigitsData(file["images"], file["targets"].astype(np.int64), positions)


class DigitsStore(ImageReader):
    """One split of the digits."""

    def __init__(self, split: str) -> None:
        data = digits_data()
        own = data.positions[split]
        self._positions = {c: own[data.targets[own] == int(c)].tolist() for c in CLASS_IDS}

    def names(self, class_id: str) -> Sequence[str]:
        return [f"{position:04d}.png" for position in self._positions[class_id]]

    def read(
        self, items: Sequence[tuple[str, int]], *, size: int, crop: Crop, report: ProgressCallback = no_progress
    ) -> torch.Tensor:
        """As in the base class. The images are square, so "adm" and "resize" agree: bilinear to `size`, grey as RGB."""
        import torch
        from torch.nn import functional

        positions = [self._positions[class_id][index] for class_id, index in items]
        ink = torch.from_numpy(digits_data().images[positions]).float()[:, None]
        side = short_side(size, crop)
        grey = functional.interpolate(ink * (255 / 16), size=(side, side), mode="bilinear", antialias=True)
        edge = (side - size) // 2
        grey = grey[:, :, edge : edge + size, edge : edge + size]
        report("reading", len(items), len(items), "image")
        return grey.round().clamp(0, 255).to(torch.uint8).repeat(1, 3, 1, 1)


@register_source("digits")
class Digits(ImageSource):
    """Handwritten digits; class ids "0" to "9"."""

    class Config(Source):
        """`kind: digits` has no options."""

    def check(self) -> None:
        unknown = [c for c in self.class_ids if c not in CLASS_IDS]
        if unknown:
            raise UserError(f"source 'digits' has the classes 0 to 9, but not {', '.join(unknown[:20])}")

    def fingerprint(self) -> str:
        """Hash the pixels, the targets, the positions of both splits and the class order."""
        import numpy as np

        self.check()
        data = digits_data()
        digest = hashlib.sha256(f"digits 1\x1f{chr(31).join(self.class_ids)}\n".encode())
        for array in (data.images, data.targets, *data.positions.values()):
            digest.update(np.ascontiguousarray(array.astype("<i8")).tobytes())
        return digest.hexdigest()

    def split(self, name: str) -> Split:
        if name not in ("train", "test"):
            raise ValueError(f"unknown split {name!r}; use 'train' or 'test'")
        self.check()
        return Split(DigitsStore(name), self.class_ids)

    def describe(self) -> str:
        num = {split: len(positions) for split, positions in digits_data().positions.items()}
        return (
            f"scikit-learn digits (8x8; {num['train']:,} train / {num['test']:,} test, stratified, "
            f"random_state {RANDOM_STATE}; fingerprint {self.fingerprint()[:8]})"
        )
