"""Read IDX files, the format of MNIST: four files, each plain or gzip-compressed.

In: a folder. Out: pixels and labels. Format: bytes 0 0, a code of the numbers' type (8: uint8), the number of dimensions, the
size of each as 4 bytes, big-endian; then the numbers. A file that has less or more than it announces is refused.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from harness.core.errors import UserError
from harness.data.sources.arrays import LabelledImages

if TYPE_CHECKING:
    import numpy as np


SPLITS = {"train": "train", "test": "t10k"}
"""Beginning of the files' names by split."""


PARTS = {"images": 3, "labels": 1}
"""Numbers of dimensions."""


_UINT8 = 8


_TYPES = {_UINT8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}


_MAX_BYTES = 1 << 30
"""A file that announces more is not read."""


def file_names(split: str, part: str) -> tuple[str, ...]:
    """Return the names that a file may have, the usual one first."""
    stem, ending = f"{SPLITS[split]}-{part}", f"idx{PARTS[part]}-ubyte"
    return tuple(f"{stem}{joint}{ending}{gz}" for gz in ("", ".gz") for joint in "-.")


def read_idx(folder: Path, md5: Mapping[str, str]) -> LabelledImages:
    """Read a data set; a second time from memory while the files stay.

    Args:
        folder: holds the four files.
        md5: usual name of an unpacked file, such as "train-images-idx3-ubyte" -> MD5 sum of its content, however it is
            compressed; files that are not named are not checked.

    Raises:
        UserError: files are missing or damaged, all of them named, or they do not fit together.
    """
    paths, missing = {}, []
    for split in SPLITS:
        for part in PARTS:
            names = file_names(split, part)
            path = next((folder / name for name in names if (folder / name).is_file()), None)
            if path is None:
                missing.append(names[0])
            else:
                paths[split, part] = path
    if missing:
        raise UserError(
            f"{folder} lacks {', '.join(missing)} (each may end in .gz or contain .idx). Fetch the data again."
        )
    stats = [path.stat() for path in paths.values()]
    stamp = tuple((s.st_size, s.st_mtime_ns) for s in stats)
    return _read(tuple(paths.items()), tuple(sorted(md5.items())), stamp)


@lru_cache(maxsize=2)
def _read(
    paths: tuple[tuple[tuple[str, str], Path], ...], md5: tuple[tuple[str, str], ...], stamp: tuple[Any, ...]
) -> LabelledImages:
    sums, wrong, found = dict(md5), [], {}
    for (split, part), path in paths:
        try:
            found[split, part] = _read_file(path, PARTS[part], sums.get(file_names(split, part)[0]))
        except UserError as error:
            wrong.append(str(error))
    if wrong:
        raise UserError("\n".join(wrong))
    where = dict(paths)
    images = {split: _images(found[split, "images"], where[split, "images"]) for split in SPLITS}
    labels = {split: found[split, "labels"] for split in SPLITS}
    for split in SPLITS:
        if len(images[split]) != len(labels[split]):
            raise UserError(
                f"{where[split, 'images']} has {len(images[split]):,} images, {where[split, 'labels']} "
                f"{len(labels[split]):,} labels: they do not match. Fetch the data again."
            )
    if images["train"].shape[1:] != images["test"].shape[1:]:
        sides = " and ".join(f"{found.shape[-1]} pixels ({split})" for split, found in images.items())
        raise UserError(f"{where['train', 'images'].parent}: the splits have images of {sides}; expected one size")
    return LabelledImages(images, labels)


def _images(array: np.ndarray, where: Path) -> np.ndarray:
    """Return images [N, S, S] as [N, 1, S, S]."""
    num, height, width = array.shape
    if not num or not height or height != width:
        raise UserError(f"{where}: {num:,} images of {height}x{width} pixels; expected square images")
    return array[:, None]


def _read_file(path: Path, num_dimensions: int, md5: str | None) -> np.ndarray:
    """Read one file, uint8 of so many dimensions.

    Raises:
        UserError: it is damaged or another file; says how.
    """
    import numpy as np

    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            header, shape = _header(cast("IO[bytes]", file), path, num_dimensions)
            wanted = math.prod(shape)
            body = file.read(wanted)
            more = file.read(1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is not a complete .gz file ({error}). Fetch it again.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(body) < wanted or more:
        found = "more" if more else f"{len(body):,}"
        raise UserError(f"{path}: {wanted:,} bytes expected, {found} found. Fetch it again.")
    if md5 is not None and (own := hashlib.md5(header + body, usedforsecurity=False).hexdigest()) != md5:
        raise UserError(
            f"{path}: not the original file: the MD5 sum of its content is {own}, expected {md5}. Fetch it again; "
            "--set data.md5={} accepts other files."
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def _header(file: IO[bytes], path: Path, num_dimensions: int) -> tuple[bytes, tuple[int, ...]]:
    """Read and check a header; return it and the sizes."""
    length = 4 + 4 * num_dimensions
    header = file.read(length)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in _TYPES:
        raise UserError(
            f"{path} is not an IDX file: it starts with {header[:4].hex(' ') or 'nothing'}. Fetch it again."
        )
    if header[2] != _UINT8 or header[3] != num_dimensions:
        raise UserError(
            f"{path} holds {_TYPES[header[2]]} numbers in {header[3]} dimensions, expected uint8 in {num_dimensions}."
        )
    if len(header) < length:
        raise UserError(f"{path} is truncated in its header. Fetch it again.")
    shape = struct.unpack(f">{num_dimensions}I", header[4:])
    if math.prod(shape) > _MAX_BYTES:
        raise UserError(f"{path} states a size of {math.prod(shape):,} bytes, larger than any data set of this kind.")
    return header, shape
