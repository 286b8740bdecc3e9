"""Grey images from IDX files: MNIST, Fashion-MNIST and what else has their four files."""

from __future__ import annotations

from pathlib import Path

from harness.data.sources.arrays import LabelledImages, NumberedSource
from harness.data.sources.base import register_source
from harness.data.sources.idx_files import read_idx


@register_source("idx")
class Idx(NumberedSource):
    """A folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-... and t10k-labels-..., .gz or not."""

    kind = "idx"

    def _read(self, folder: Path) -> LabelledImages:
        return read_idx(folder, self.config.md5)

    def _about(self) -> str:
        side = self._data.images["train"].shape[-1]
        return f"{self.config.title or 'IDX files'}, {side}x{side} grey"
