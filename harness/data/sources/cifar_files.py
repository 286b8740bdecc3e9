"""Read CIFAR's python files, from the extracted folder or straight from the archive.

In: a place and which of the two sets it is. Out: pixels, labels and class names, checked against MD5 sums.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserError
from harness.data.sources.plain_pickle import read_plain_pickle

if TYPE_CHECKING:
    import numpy as np


SIDE = 32
"""Pixels."""


_MAX_FILE = 256 * 1024**2
"""No file of the original archives is larger; a longer member of an archive is not unpacked, bytes."""


@dataclass(frozen=True)
class Layout:
    """Names inside one of the two archives: files, and the keys of labels and class names."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels: str
    class_names: str

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read."""
        return (*self.train, *self.test, self.meta)


LAYOUTS = {
    "cifar10": Layout(
        tuple(f"data_batch_{n}" for n in range(1, 6)), ("test_batch",), "batches.meta", "labels", "label_names"
    ),
    "cifar100": Layout(("train",), ("test",), "meta", "fine_labels", "fine_label_names"),
}


@dataclass(frozen=True)
class CifarData:
    """A whole data set.

    Attributes:
        images: "train" and "test" -> uint8 [N, 3, 32, 32].
        labels: "train" and "test" -> int64 [N], positions in `class_names`.
        class_names: in label order.
    """

    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    class_names: tuple[str, ...]


def read_cifar(place: Path, layout: Layout, md5: Mapping[str, str]) -> CifarData:
    """Read a data set; a second time from memory while the files stay.

    Args:
        place: the extracted folder, or the .tar.gz.
        layout: one of `LAYOUTS`.
        md5: file name -> MD5 sum that it must have; files that are not named are not checked.

    Raises:
        UserError: files are missing or damaged, all of them named.
    """
    paths = [place / name for name in layout.files] if place.is_dir() else [place]
    stats = [path.stat() for path in paths if path.exists()]
    stamp = tuple((s.st_size, s.st_mtime_ns) for s in stats)
    return _read(place, layout, tuple(sorted(md5.items())), stamp)


@lru_cache(maxsize=2)
def _read(place: Path, layout: Layout, md5: tuple[tuple[str, str], ...], stamp: tuple[Any, ...]) -> CifarData:
    contents = _from_folder(place, layout) if place.is_dir() else _from_archive(place, layout)
    missing = [name for name in layout.files if name not in contents]
    if missing:
        raise UserError(f"{place} lacks {', '.join(missing)}. Extract the archive again, or fetch it again.")
    _check_sums(place, contents, dict(md5))
    where = {name: f"{place / name}" for name in contents}
    meta = read_plain_pickle(contents[layout.meta], where[layout.meta])
    names = meta.get(layout.class_names)
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names) or not names:
        raise UserError(f"{where[layout.meta]}: has no list {layout.class_names!r} of class names")
    images, labels = {}, {}
    for split, files in (("train", layout.train), ("test", layout.test)):
        parts = [_batch(read_plain_pickle(contents[f], where[f]), where[f], layout, len(names)) for f in files]
        images[split], labels[split] = _join([p[0] for p in parts]), _join([p[1] for p in parts])
    return CifarData(images, labels, tuple(n.decode("utf-8") if isinstance(n, bytes) else n for n in names))


def _from_folder(place: Path, layout: Layout) -> dict[str, bytes]:
    try:
        return {name: (place / name).read_bytes() for name in layout.files if (place / name).is_file()}
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror or error}") from None


def _from_archive(place: Path, layout: Layout) -> dict[str, bytes]:
    """Read the members that are needed into memory; nothing is extracted to disk, whatever the members are called."""
    contents = {}
    try:
        with tarfile.open(place, "r:*") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in layout.files and member.isfile():
                    if member.size > _MAX_FILE:
                        raise UserError(
                            f"{place}: {member.name} has {member.size:,} bytes, more than any original file"
                        )
                    handle = archive.extractfile(member)
                    assert handle is not None
                    contents[name] = handle.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{place} is not a readable .tar.gz archive: {error}. Fetch it again.") from None
    return contents


def _check_sums(place: Path, contents: Mapping[str, bytes], md5: Mapping[str, str]) -> None:
    wrong = []
    for name, expected in md5.items():
        found = hashlib.md5(contents.get(name, b""), usedforsecurity=False).hexdigest()
        if name in contents and found != expected:
            wrong.append(f"{name} (MD5 {found}, expected {expected})")
    if wrong:
        raise UserError(
            f"{place}: not the original files: {', '.join(wrong)}. Fetch the archive again; --set data.md5={{}} "
            "accepts other files."
        )


def _batch(batch: dict[str, Any], where: str, layout: Layout, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Check one batch; return its images [N, 3, 32, 32] and labels [N]."""
    import numpy as np

    images, labels = batch.get("data"), batch.get(layout.labels)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (3 * SIDE**2,):
        found = f"{images.dtype} {list(images.shape)}" if isinstance(images, np.ndarray) else type(images).__name__
        raise UserError(f"{where}: 'data' is {found}, expected uint8 [N, {3 * SIDE**2}]")
    whole = isinstance(labels, list) and all(type(n) is int and 0 <= n < num_classes for n in labels)
    if not whole or len(labels or ()) != len(images):
        raise UserError(f"{where}: {layout.labels!r} is not a list of {len(images)} labels from 0 to {num_classes - 1}")
    return images.reshape(-1, 3, SIDE, SIDE), np.asarray(labels, dtype=np.int64)


def _join(parts: list[np.ndarray]) -> np.ndarray:
    import numpy as np

    return np.concatenate(parts)
