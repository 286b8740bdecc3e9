"""What all jobs of a run share: where things are, and real images, in memory or in a file of decoded ones."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.classes import ClassInfo
from harness.core.config.generator import GeneratorSpec
from harness.core.config.suite import Teacher
from harness.core.plugin.plugin_files import PluginSource
from harness.core.progress import ProgressCallback, no_progress
from harness.core.store import Store
from harness.data.channels import in_channels
from harness.data.decoded import DecodedFile
from harness.data.rows import FileRows, memory_limit
from harness.data.sources.base import open_source

if TYPE_CHECKING:
    import torch

    from harness.data.rows import ImageRows
    from harness.data.split import Crop, Split


@dataclass(frozen=True)
class JobContext:
    """What all jobs of a run share and no key contains: where things are. Small, so that it travels to any worker.

    Attributes:
        store_uri: folder or URI of the store.
        source: the suite's image source.
        data_root: folder that contains the image folders.
        data_fingerprint: what the plan saw there; images kept in memory are kept for this content only.
        classes: the suite's classes in label order.
        generators: by kind, with `weights` resolved to a folder or hub id.
        teacher: the suite's, with `weights` resolved to a file, a folder or a timm model.
        teacher_labels: class ids in the label order of its weights; empty where it is trained.
        device: "cpu" or "cuda".
        channels: of the suite's images: 3, or 1 (grey).
        plugins: texts of the plugins that jobs may need.
        fresh: run jobs again although the store has their results.
    """

    store_uri: str
    source: dict[str, Any]
    data_root: str
    data_fingerprint: str
    classes: tuple[ClassInfo, ...]
    generators: dict[str, GeneratorSpec] = field(default_factory=dict)
    generator_labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    teacher: Teacher | None = None
    teacher_labels: tuple[str, ...] = ()
    device: str = "cpu"
    channels: int = 3
    plugins: tuple[PluginSource, ...] = ()
    fresh: bool = False

    @cached_property
    def store(self) -> Store:
        """The store of the run, opened once."""
        return Store(self.store_uri)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the opened store behind: where copies lie and what was listed is true of this process only."""
        return {name: value for name, value in vars(self).items() if name != "store"}


@dataclass(frozen=True)
class _Data:
    """The parts of a context that name real images; hashable, so that what is loaded can be kept."""

    source: str
    root: str
    fingerprint: str
    class_ids: tuple[str, ...]
    channels: int


def _data(context: JobContext) -> _Data:
    source, class_ids = json.dumps(context.source, sort_keys=True), tuple(c.id for c in context.classes)
    return _Data(source, context.data_root, context.data_fingerprint, class_ids, context.channels)


def images_of(context: JobContext) -> Hashable:
    """Return what names the real images of a context; equal for contexts that have the same ones."""
    return _data(context)


def open_split(context: JobContext, name: str) -> Split:
    """Return a split of the suite's real images, "train" or "test", with the suite's channels."""
    return _open_split(_data(context), name)


@lru_cache(maxsize=4)
def _open_split(data: _Data, name: str) -> Split:
    split = open_source(json.loads(data.source), data.class_ids, Path(data.root)).split(name)
    return in_channels(split, data.channels)


def real_images(
    context: JobContext, name: str, side: int, crop: Crop = "resize", report: ProgressCallback = no_progress
) -> tuple[torch.Tensor | ImageRows, torch.Tensor]:
    """Return (images uint8 [N, K, side, side], labels [N]) of a split as students see it.

    In memory, on the device, where the split is within `harness.data.rows.memory_limit`; the last two are kept, because
    dozens of students in one worker share a test split. A larger one is decoded once, and read in batches from a file.

    Raises:
        UserError: images cannot be read, or there is no room for the file.
    """
    file = decoded_file(context, name, side, crop)
    if file is None:
        return _real_tensors(_data(context), name, side, crop, context.device)
    file.make(report)
    rows = FileRows(file.path, file.shape, len(file.header), context.device)
    return rows, file.split.row_labels().to(context.device)


def real_part(
    context: JobContext, name: str, part: Split, side: int, report: ProgressCallback = no_progress
) -> tuple[torch.Tensor | ImageRows, torch.Tensor]:
    """Return, as `real_images`, the images of a part of a split; nothing is kept, and the file is that of the whole split."""
    file = decoded_file(context, name, side, "resize")
    if file is None:
        return part.tensors(size=side, crop="resize")
    file.make(report)
    rows = FileRows(file.path, file.shape, len(file.header), context.device, file.split.rows_of(part))
    return rows, part.row_labels()


def test_crop(margin: bool) -> Crop:
    """Return how test images become squares under a protocol whose `test_margin` is `margin`."""
    return "margin" if margin else "resize"


def decoded_file(context: JobContext, name: str, side: int, crop: Crop) -> DecodedFile | None:
    """Return the file that a split is decoded to, which may not be there yet; None: it is kept in memory."""
    data = _data(context)
    file = DecodedFile.of(_open_split(data, name), name, data.fingerprint, size=side, crop=crop)
    return file if file.num_bytes > memory_limit() else None


@lru_cache(maxsize=2)
def _real_tensors(data: _Data, name: str, side: int, crop: Crop, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = _open_split(data, name).tensors(size=side, crop=crop)
    return images.to(device), labels.to(device)
