"""`harness data check`: look at a suite's data as a run would see them, and a little closer.

In: a suite and a data root. Out: findings. Every file is listed anew, whatever was remembered; of each class some images
are decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from harness.core.classes import ClassInfo, read_class_list
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback
from harness.core.suites import SuiteFile
from harness.data.decode import read_files
from harness.data.fetch.suite_data import how_to_get
from harness.data.sources.base import ImageSource, open_source
from harness.data.split import Split

DECODED = 1000
"""Images of a split that are decoded unless told otherwise; at least one of each class."""


_SMALL = 16


_FEW = 0.25


_MAX_NAMED = 20


@dataclass
class Findings:
    """What a suite's data are.

    Attributes:
        suite: its name.
        classes: its classes in label order.
        about: the source's line for captions: which known data set it is, counts, the fingerprint's beginning.
        fingerprint: of the whole, hex.
        num_images: split -> class id -> images.
        num_decoded: images that were decoded.
        damaged: what is wrong with images that could not be; such images fail the run that reads them.
        remarks: what is unusual and stops no run.
    """

    suite: str
    classes: tuple[ClassInfo, ...]
    about: str
    fingerprint: str
    num_images: dict[str, dict[str, int]]
    num_decoded: int = 0
    damaged: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check_data(
    file: SuiteFile,
    data_root: Path,
    report: ProgressCallback,
    *,
    options: dict[str, Any] | None = None,
    decode_all: bool = False,
) -> Findings:
    """Look at a suite's data.

    Args:
        file: the suite.
        data_root: folder that relative paths start from.
        report: told the progress.
        options: fields of the source that replace the suite's, as `--set data.root=...`.
        decode_all: decode every image, not some.

    Raises:
        UserError: no run could use the data; says all that is missing, and how to get it.
    """
    classes = read_class_list(file.class_list)
    source = open_source({**file.suite.source, **(options or {})}, tuple(c.id for c in classes), data_root)
    try:
        source.index(report, anew=True)
        source.check()
    except UserError as error:
        lines = [f"suite {file.suite.name}: {error}", *_unreadable(source, classes, decode_all)]
        how = how_to_get(file, data_root)
        raise UserError("\n  ".join(lines) + (f"\n{how}" if how else "")) from None
    splits = {name: source.split(name) for name in ("train", "test")}
    findings = Findings(
        file.suite.name,
        classes,
        source.describe(),
        source.fingerprint(),
        {name: split.num_per_class for name, split in splits.items()},
        remarks=source.remarks(),
    )
    for name, split in splits.items():
        findings.remarks += _unusual(name, split.num_per_class)
    for name, split in splits.items():
        _decode(name, split, findings, report, decode_all)
    return findings


def _unusual(split: str, num: dict[str, int]) -> list[str]:
    """Return classes with far fewer images than usual: an unpacking that broke off looks like that."""
    usual = median(num.values())
    few = [f"{c} ({n})" for c, n in num.items() if n < _FEW * usual]
    if not few:
        return []
    more = f" and {len(few) - _MAX_NAMED} more" if len(few) > _MAX_NAMED else ""
    return [f"{split}: far fewer images than the usual {usual:g} in {', '.join(few[:_MAX_NAMED])}{more}"]


def _wanted(num_classes: int) -> int:
    """Return how many images of a class are decoded."""
    return max(1, DECODED // num_classes)


def _spread(num: int, wanted: int) -> list[int]:
    """Return at most `wanted` of the positions 0 to num - 1, evenly spread."""
    return list(range(0, num, max(1, num // max(1, wanted))))[:wanted]


def _unreadable(source: ImageSource, classes: Sequence[ClassInfo], everything: bool) -> list[str]:
    """Return what is wrong with images of data that cannot be used for another reason: all is named at once."""
    lines: list[str] = []
    try:
        for name in ("train", "test"):
            for c in classes:
                files = source.files(name, c.id)
                some = _spread(len(files), len(files) if everything else _wanted(len(classes)))
                try:
                    read_files([files[i] for i in some], size=_SMALL, crop="resize")
                except UserError as error:
                    lines += [f"{name}: {line.strip()}" for line in str(error).splitlines()[1:]]
    except UserError:  # there is no folder at all
        return []
    return lines


def _decode(name: str, split: Split, findings: Findings, report: ProgressCallback, everything: bool) -> None:
    """Decode images, spread over each class, and note those that cannot be."""
    wanted = _wanted(len(split.class_ids))
    total = len(split) if everything else sum(min(wanted, n) for n in split.num_per_class.values())
    done = 0
    for c, num in split.num_per_class.items():
        some = _spread(num, num if everything else wanted)
        try:
            split.load(c, some, size=_SMALL, crop="resize")
        except UserError as error:
            findings.damaged += [f"{name}: {line.strip()}" for line in str(error).splitlines()[1:]]
        done += len(some)
        report(f"decoding {name}", done, total, "image")
    findings.num_decoded += done
