"""Grey images from IDX files: MNIST, Fashion-MNIST and what else has their four files."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from harness.core.config.suite import Source
from harness.data.sources.arrays import LabelledImages, NumberedSource, absent, first_here
from harness.data.sources.base import register_source
from harness.data.sources.idx_files import read_idx


@register_source("idx")
class Idx(NumberedSource):
    """A folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-... and t10k-labels-..., .gz or not."""

    kind = "idx"

    class Config(Source):
        """Options of `kind: idx`."""

        root: str = Field(min_length=1, description="folder of the four files, relative to the data root")
        alternatives: tuple[str, ...] = Field(
            (),
            description="folders to look for in this order where `root` is not there, as torchvision or Debian have it",
        )
        title: str = Field("IDX files", min_length=1, description="the data set's name in captions")
        origins: tuple[str, ...] = Field((), description="known data sets that `harness data fetch` brings")
        md5: dict[str, str] = Field(
            default_factory=dict, description="MD5 sums of the unpacked files, checked whenever they are read"
        )

    @property
    def _places(self) -> tuple[str, ...]:
        return (self.config.root, *self.config.alternatives)

    @property
    def place(self) -> Path | None:
        """The folder that is read; None: there is none."""
        return first_here(self.data_root, self._places)

    def is_here(self) -> bool:
        return self.place is not None

    def _load(self) -> LabelledImages:
        if self.place is None:
            raise absent(self.kind, self.data_root, self._places, can_be_fetched=bool(self.config.origins))
        return read_idx(self.place, self.config.md5)

    def _about(self) -> str:
        side = self._data.images["train"].shape[-1]
        return f"{self.config.title}, {side}x{side} grey"
