"""Files: atomic writes, hashes, canonical JSON, and where the project's own data files are."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.core.errors import UserError

_SMALL = 1_000_000
"""Bytes; a file of fewer is read in one step."""


_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """Return the folder of the project's data called `name`: "datasets" or "results/published".

    A wheel carries them as harness/_data/NAME; a checkout has them at its top level.
    """
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def canonical_json(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces, no NaN. What keys are hashed from."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as handle:
        if os.fstat(handle.fileno()).st_size < _SMALL:  # thousands of these are read at the start of a run
            return hashlib.sha256(handle.read()).hexdigest()
        return hashlib.file_digest(handle, "sha256").hexdigest()


def written_ns(path: Path) -> int:
    """Return when a file was written; 0 for one that was removed meanwhile."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into one message.

    Raises:
        UserError: the folder is read-only, somebody else's, or the disk is full.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}.") from None


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a new file beside `path` to write, which takes its place in one step at the end; nothing is left of a failure.

    A link at `path` is replaced, not followed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Replace a file in one step: a reader sees the old text or the new, never a part. Lines end as on Unix.

    What UTF-8 cannot hold, such as bytes of a file name, is escaped.
    """
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
