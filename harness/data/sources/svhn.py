"""SVHN, house numbers cut into single digits: train_32x32.mat and test_32x32.mat, MATLAB 5 files.

In: a folder with both. Out: pixels and labels. scipy reads such files as data: nothing in them is run. Each holds `X`,
uint8 [32, 32, 3, N], and `y`, from 1 to 10; 10 is the digit 0.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.data.sources.arrays import LabelledImages, NumberedSource
from harness.data.sources.base import register_source

FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}


SIDE = 32
"""Pixels."""


_MAX_IMAGES = 1_000_000
"""More are in no file of SVHN; a file that announces more is not read."""


@register_source("svhn")
class Svhn(NumberedSource):
    """A folder with train_32x32.mat and test_32x32.mat; class ids are the digits "0" to "9"."""

    kind = "svhn"

    def _read(self, folder: Path) -> LabelledImages:
        missing = [name for name in FILES.values() if not (folder / name).is_file()]
        if missing:
            raise UserError(f"{folder} lacks {', '.join(missing)}. Fetch the data again.")
        stats = [(folder / name).stat() for name in FILES.values()]
        stamp = tuple((s.st_size, s.st_mtime_ns) for s in stats)
        return _read(folder, tuple(sorted(self.config.md5.items())), stamp)

    def _about(self) -> str:
        return self.config.title or "SVHN"


@lru_cache(maxsize=1)
def _read(folder: Path, md5: tuple[tuple[str, str], ...], stamp: tuple[Any, ...]) -> LabelledImages:
    """Read both files; a second time from memory while they stay."""
    found = {split: _read_file(folder / name, dict(md5)) for split, name in FILES.items()}
    return LabelledImages(
        {s: images for s, (images, _) in found.items()}, {s: labels for s, (_, labels) in found.items()}
    )


def _read_file(path: Path, md5: Mapping[str, str]) -> tuple[Any, Any]:
    """Return images uint8 [N, 3, 32, 32] and digits [N] of one file.

    Raises:
        UserError: it is damaged or another file; says how.
    """
    import numpy as np

    if expected := md5.get(path.name):
        with path.open("rb") as file:
            own = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if own != expected:
            raise UserError(
                f"{path}: not the original file: its MD5 sum is {own}, expected {expected}. Fetch it again; --set "
                "data.md5={} accepts other files."
            )
    content = _load(path)
    images, labels = content["X"], content["y"].reshape(-1)
    if images.dtype != np.uint8 or not np.isin(labels, np.arange(1, 11)).all():
        raise UserError(
            f"{path}: expected X of uint8 and y from 1 to 10 (the digit 0), found {images.dtype} and others"
        )
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels.astype(np.int64) % 10


def _load(path: Path) -> dict[str, Any]:
    """Return the arrays `X` and `y`; their sizes are looked at before anything is unpacked."""
    from scipy.io import loadmat, whosmat

    shapes = {name: shape for name, shape, _ in _undamaged(path, lambda: whosmat(path))}
    num = shapes.get("X", (0,))[-1]
    wanted = {"X": (SIDE, SIDE, 3, num), "y": (num, 1)}
    if not 0 < num <= _MAX_IMAGES or any(shapes.get(name) != shape for name, shape in wanted.items()):
        found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()) or "nothing"
        raise UserError(f"{path}: expected X [{SIDE}, {SIDE}, 3, N] and y [N, 1], found {found}")
    loaded: dict[str, Any] = _undamaged(path, lambda: loadmat(path, variable_names=list(wanted)))
    return {name: loaded[name] for name in wanted}


def _undamaged(path: Path, read: Callable[[], Any]) -> Any:
    """Return what `read` reads of a file.

    Raises:
        UserError: the file is damaged; scipy tells that in many ways.
    """
    from scipy.io.matlab import MatReadError

    python = (ValueError, LookupError, TypeError, ArithmeticError, OSError, NotImplementedError, EOFError, MemoryError)
    try:
        return read()
    except (*python, MatReadError, struct.error, zlib.error) as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} is not a complete MATLAB 5 file: {reason}. Fetch it again.") from None
