"""Known data sets: datasets/sources/*.yaml, what they hold, how to get them, and telling which of them a folder is.

In: names from a suite's `source.origins`. Out: checked descriptions. Two data sets of one name give different numbers
(ImageNet's ten dog breeds, and fast.ai's archive of them with another split), so a table's caption says which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, Self

import yaml
from pydantic import Field, PositiveInt, model_validator

from harness.core.classes import read_class_list
from harness.core.config.base import ConfigModel, checked
from harness.core.errors import UserError, did_you_mean
from harness.core.io import data_folder

UNKNOWN = "unknown source"
"""How a caption begins to speak of images that are no known data set."""


SplitName = Literal["train", "test"]


class Archive(ConfigModel):
    """A file to download, and how to tell that it is the right one. Without checksums the first download is trusted."""

    url: str = Field(pattern=r"^https?://[^/]+/.*[^/]$", description="http or https address of the file")
    num_bytes: PositiveInt | None = Field(None, description="its size in bytes; null: unknown")
    md5: str | None = Field(
        None, pattern=r"^[0-9a-f]{32}$", description="its MD5; protects against damage, not against attacks"
    )
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="its SHA-256")

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return self.url.split("?")[0].rsplit("/", 1)[-1]


class Variant(ConfigModel):
    """One form of a data set, such as images of full size or of 320 pixels."""

    root: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="its folder, inside the archive and below the data root"
    )
    short_side: PositiveInt | None = Field(None, description="short side of its images, pixels; null: original size")
    archive: Archive | None = Field(None, description="a .tgz or .zip that contains this folder; null: none")
    files: tuple[Archive, ...] = Field(
        (), description="instead of an archive: files that are copied to `root` unchanged"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        names = [file.file_name for file in self.files]
        if self.archive is not None and self.files:
            raise ValueError("give `archive` or `files`, not both")
        if len(names) != len(set(names)):
            raise ValueError(f"several files have the same name: {', '.join(names)}")
        return self

    @property
    def downloads(self) -> tuple[Archive, ...]:
        """What is downloaded; nothing where it cannot be."""
        return self.files or ((self.archive,) if self.archive else ())


class DatasetCard(ConfigModel):
    """A data set that the field knows by name. Read from datasets/sources/NAME.yaml."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="the data set's name")
    title: str = Field(min_length=1, description="its name in captions")
    classes: str = Field(description="list of its classes, relative to the YAML")
    num_images: dict[SplitName, PositiveInt] = Field(description="images of all classes, by split")
    num_per_class: dict[SplitName, tuple[PositiveInt, PositiveInt]] = Field(
        default_factory=dict,
        description="minimum and maximum number of images per class, by split; used to recognise a subset of the classes",
    )
    train_dir: str = Field("train", description="folder of the training split")
    test_dir: str = Field("val", description="folder of the test split")
    source: dict[str, Any] | None = Field(
        None, description="how a suite reads it, to check the unpacked files; null: class folders of images"
    )
    variants: dict[str, Variant] = Field(min_length=1, description="variants by name; the first is the default")
    how: str = Field("", description="how to get it if it cannot be downloaded")

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        if not self.how and not any(v.downloads for v in self.variants.values()):
            raise ValueError("set `how` (how to get it), or give a variant an `archive` or `files`")
        return self

    def about(self, variant: str) -> str:
        """Return title and variant, for a caption."""
        side = self.variants[variant].short_side
        return f"{self.title}, {f'short side {side} px' if side else 'full size'}"


@dataclass(frozen=True)
class KnownFile:
    """A known data set, and the classes that it has."""

    source: DatasetCard
    class_ids: tuple[str, ...]


def load_known(name_or_path: str) -> KnownFile:
    """Read datasets/sources/NAME.yaml, or a YAML file of that kind by its path.

    Raises:
        UserError: there is none, or it is wrong.
    """
    path, folder = Path(name_or_path), data_folder("datasets") / "sources"
    if path.suffix not in {".yaml", ".yml"}:
        path = folder / f"{name_or_path}.yaml"
        if not path.is_file():
            names = sorted(p.stem for p in folder.glob("*.yaml"))
            raise UserError(
                f"unknown data set {name_or_path!r} in the origins of a source.{did_you_mean(name_or_path, names)} "
                f"Known: {', '.join(names)}. A path to a YAML file works too."
            )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"data set file {path}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"data set file {path}: expected fields (name: ..., title: ...), found {values!r}.")
    source = checked(DatasetCard, values, f"data set file {path}")
    return KnownFile(source, tuple(c.id for c in read_class_list(path.parent / source.classes)))


def recognise(origins: Sequence[str], num: dict[str, dict[str, int]], short_sides: Callable[[], list[int]]) -> str:
    """Return which of the known data sets some images are, in words for a caption.

    Args:
        origins: names of known data sets.
        num: split -> class -> images found.
        short_sides: returns the short sides of some images, pixels; asked only where the numbers of images fit.

    Raises:
        UserError: an origin is unknown.
    """
    known = [load_known(name) for name in origins]
    for file in known:
        if _numbers_fit(file, num):
            return _with_size(file.source, short_sides())
    return f"{UNKNOWN} " + ", ".join(file.source.name for file in known)


def differences(origins: Sequence[str], num: dict[str, dict[str, int]]) -> list[str]:
    """Return how the numbers of images differ from those of the known data sets with exactly these classes.

    Args:
        origins: names of known data sets.
        num: split -> class -> images found.

    Raises:
        UserError: an origin is unknown.
    """
    lines = []
    for file in map(load_known, origins):
        if set(file.class_ids) == set(next(iter(num.values()))):
            stated, here = file.source.num_images, {split: sum(of.values()) for split, of in num.items()}
            text = ", ".join(f"{here[s]:,} of {n:,} {s} images" for s, n in stated.items() if here[s] != n)
            lines += [f"compared with {file.source.title}: {text}"] if text else []
    return lines


def _numbers_fit(file: KnownFile, num: dict[str, dict[str, int]]) -> bool:
    wanted, there = set(next(iter(num.values()))), set(file.class_ids)
    if wanted == there:
        return all(sum(num[split].values()) == total for split, total in file.source.num_images.items())
    ranges = file.source.num_per_class
    return (
        bool(ranges)
        and wanted <= there
        and all(low <= n <= high for split, (low, high) in ranges.items() for n in num[split].values())
    )


def _with_size(source: DatasetCard, sides: list[int]) -> str:
    """Name the variant by the images' short sides; a copy that somebody resized is called one."""
    typical = median(sides)
    for name, variant in source.variants.items():
        if variant.short_side == typical:
            return source.about(name)
    full = next((name for name, variant in source.variants.items() if variant.short_side is None), None)
    if full is None or len(set(sides)) == 1:
        return f"{source.title}, resized: short side {typical:g} px"
    return source.about(full)
