"""Which class each image of a flat folder belongs to: ImageNet's `val` as it is distributed, 50,000 files in one folder.

In: a file that lies beside the folder. Out: image name without ending -> class id. Read are
- Kaggle's LOC_val_solution.csv ("ILSVRC2012_val_00000001,n01751748 111 108 230 190 ..."),
- a text file of pairs ("ILSVRC2012_val_00000001.JPEG n01751748"),
- Tiny-ImageNet's val_annotations.txt ("val_0.JPEG n03444034 0 32 44 62", TABs between),
- the development kit's ILSVRC2012_validation_ground_truth.txt, one number a line for image 1, 2, 3, ... The numbers are the
  kit's own, in no sorted order, so they need the kit's meta.mat or a list of the ids in the kit's order beside them.

A wrong order would not fail: students would be scored against shuffled labels, at chance. So nothing is guessed.
"""

from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import UserError

CSV_NAME = "LOC_val_solution.csv"


PAIRS_NAME = "val_labels.txt"


ANNOTATIONS_NAME = "val_annotations.txt"


KIT_NAME = "ILSVRC2012_validation_ground_truth.txt"


KIT_ORDER_NAME = "ILSVRC2012_ids_in_devkit_order.txt"


KIT_META_NAME = "meta.mat"


KIT_FOLDER = Path("ILSVRC2012_devkit_t12") / "data"


EXPECTED = (
    f"{CSV_NAME} (Kaggle); {PAIRS_NAME} (lines such as 'ILSVRC2012_val_00000001.JPEG n01751748'); or {KIT_NAME} with "
    f"the development kit's {KIT_META_NAME}, or with {KIT_ORDER_NAME} (the 1000 ids in the kit's order, one per "
    "line), next to it"
)
"""The files that are understood, for messages."""


def find_labels(root: Path, folder: Path, given: str | None) -> Path:
    """Return the file that tells the classes of a flat folder.

    Args:
        root: folder of the data set.
        folder: the flat folder.
        given: the file that the suite or the user names, relative to `root`; None: looked for.

    Raises:
        UserError: there is none; says what is expected and where.
    """
    if given is not None:
        if not (root / given).is_file():
            raise UserError(f"test_labels: {root / given} is not a file. Expected: {EXPECTED}.")
        return root / given
    for place in (root, folder, root / KIT_FOLDER):
        for name in (CSV_NAME, PAIRS_NAME, KIT_NAME):
            if (place / name).is_file():
                return place / name
    raise UserError(
        f"{folder} contains images instead of class folders, and no file gives their classes. Add one of these to "
        f"{root}: {EXPECTED}. Or sort the images into {folder.name}/CLASS/, or set the file with --set "
        "data.test_labels=FILE."
    )


def read_labels(path: Path) -> dict[str, str]:
    """Return the class id of each image, by its name without folder and ending.

    Raises:
        UserError: the file is not one of these, contradicts itself, or lacks what it needs; names the line.
    """
    try:
        if path.name == KIT_NAME:
            return dict(_from_kit(path))
        if path.suffix.lower() == ".csv":
            lines = _from_csv(path)
        elif path.name == ANNOTATIONS_NAME:
            lines = _from_words(path, 6, "IMAGE CLASS X Y X Y")
        else:
            lines = _from_words(path, 2, "IMAGE CLASS")
        return _collect(path, lines)
    except UnicodeDecodeError as error:
        raise UserError(f"labels {path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise UserError(f"labels {path} cannot be read: {error.strerror or error}") from None


def _collect(path: Path, lines: Iterator[tuple[int, str, str]]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for number, name, class_id in lines:
        stem = _stem(name)
        if class_id.lstrip("-").isdigit():
            raise UserError(
                f"labels {path}, line {number}: class {class_id!r} is a number, but the class order is unknown. "
                f"Expected: {EXPECTED}."
            )
        if labels.setdefault(stem, class_id) != class_id:
            raise UserError(f"labels {path}, line {number}: {stem} is {class_id} here and {labels[stem]} above")
    if not labels:
        raise UserError(f"labels {path} name no images. Expected: {EXPECTED}.")
    return labels


def _from_csv(path: Path) -> Iterator[tuple[int, str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        for number, row in enumerate(csv.reader(handle), start=1):
            if not row or (number == 1 and row[0] == "ImageId"):
                continue
            if len(row) < 2 or not row[1].split():
                raise UserError(f"labels {path}, line {number}: expected 'IMAGE,CLASS ...', found {','.join(row)!r}")
            yield number, row[0], row[1].split()[0]


def _from_words(path: Path, num_words: int, expected: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != num_words:
            raise UserError(f"labels {path}, line {number}: expected {expected!r}, found {line!r}")
        yield number, words[0], words[1]


def _from_kit(path: Path) -> Iterator[tuple[str, str]]:
    """Image N of the kit is the one on line N; its name ends in that number."""
    ids = _kit_ids(path)
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split(), start=1):
        if not line.isdigit() or int(line) not in ids:
            raise UserError(f"labels {path}, line {number}: {line!r} is not one of the kit's {len(ids)} class numbers")
        yield f"ILSVRC2012_val_{number:08d}", ids[int(line)]


def _kit_ids(path: Path) -> dict[int, str]:
    order, meta = path.with_name(KIT_ORDER_NAME), path.with_name(KIT_META_NAME)
    if order.is_file():
        ids = [line.split()[0] for line in order.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        if len(ids) > 1 and ids == sorted(ids):
            raise UserError(
                f"{order} is in sorted order, which differs from the development kit's order, so its numbers would "
                f"give wrong classes. Use the order of the kit's {KIT_META_NAME}, or put that file next to "
                f"{path.name}."
            )
        return dict(enumerate(ids, start=1))
    if meta.is_file():
        return _read_meta(meta)
    raise UserError(
        f"labels {path} contain the development kit's class numbers; the kit's {KIT_META_NAME} maps them to classes. "
        f"Put it, or {KIT_ORDER_NAME} (the 1000 ids in the kit's order, one per line), into {path.parent}."
    )


def _read_meta(path: Path) -> dict[int, str]:
    """Read number -> id of the leaf classes from the kit's MATLAB file (plain arrays and strings, no code)."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    damaged = (ValueError, KeyError, TypeError, OSError, IndexError, NotImplementedError, EOFError)
    try:
        synsets = loadmat(path, squeeze_me=True)["synsets"]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
    except (*damaged, MatReadError, struct.error, zlib.error) as error:
        raise UserError(f"{path} is not the development kit's {KIT_META_NAME}: {error}") from None


def _stem(name: str) -> str:
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, ending = base.rpartition(".")
    return stem if dot and ending.lower() in {"jpeg", "jpg", "png"} else base
