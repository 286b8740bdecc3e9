"""The far side of a store: a folder of any file system that fsspec knows, and the private folder of its local copies.

In: names relative to the folder. Out: texts and files. Every answer is asked for now, because fsspec keeps listings for as
long as a process lives and other machines write meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import uuid
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.io import write_text_atomically
from harness.core.paths import plain_path

_URI = "uri.txt"


def cache_folder(uri: str) -> Path:
    """Return where copies of a remote store lie: below the temporary folder, in a folder of this user."""
    return Path(tempfile.gettempdir()) / f"harness-{os.getuid()}" / hashlib.sha256(uri.encode()).hexdigest()[:12]


def make_private(uri: str) -> None:
    """Make the folder for copies of a remote store, which notes the URI. Who else writes there could plant artefacts.

    Raises:
        UserError: what is there is no folder, or not this user's alone.
    """
    cache = cache_folder(uri)
    top = cache.parent
    with contextlib.suppress(FileExistsError):
        top.mkdir(mode=0o700)
    about, cure = top.lstat(), "Remove it, or set TMPDIR to a folder of your own."
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        raise UserError(f"{top}, for copies of a remote store, is no folder of yours. {cure}")
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(f"{top}, for copies of a remote store: others may write there. {cure}")
    cache.mkdir(exist_ok=True)
    if cached_uri(cache) != uri:
        write_text_atomically(cache / _URI, uri)


def cached_uri(cache: Path) -> str | None:
    """Return the URI of the store whose copies lie in a folder; None where it is no such folder of this user."""
    try:
        uri = (cache / _URI).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return uri if cache_folder(uri).resolve() == cache.resolve() else None


class RemoteFolder:
    """One folder of a remote file system.

    Args:
        uri: of the folder, as fsspec knows it ("s3://bucket/x").
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec

        try:
            filesystem, path = fsspec.core.url_to_fs(self.uri)
        except (ValueError, ImportError) as error:
            raise self._unreadable(error) from None
        return filesystem, path.rstrip("/")

    def _unreadable(self, error: Exception) -> UserError:
        return UserError(
            f"store {self.uri}: cannot be read ({error}). Check the address, your access to it, and that the package that "
            "fsspec needs for it is installed."
        )

    def _at(self, name: str) -> tuple[Any, str]:
        filesystem, base = self._opened
        filesystem.invalidate_cache()
        return filesystem, f"{base}/{name}"

    def make(self) -> None:
        """Make the folder where the file system has folders."""
        filesystem, base = self._opened
        filesystem.makedirs(base, exist_ok=True)

    def exists(self, name: str) -> bool:
        """Return whether there is such a file."""
        filesystem, path = self._at(name)
        return bool(filesystem.exists(path))

    def read(self, name: str) -> str | None:
        """Return the text of a file; None where it is not there."""
        filesystem, path = self._at(name)
        try:
            return filesystem.cat_file(path).decode("utf-8")
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> set[str]:
        """Return what lies in a folder, by its last name: one listing.

        Raises:
            UserError: it cannot be listed.
        """
        filesystem, path = self._at(folder)
        try:
            return {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in filesystem.ls(path, detail=False)}
        except FileNotFoundError:
            return set()
        except Exception as error:  # each file system has errors of its own for no access and no connection
            raise self._unreadable(error) from None

    def files(self, folder: str) -> list[str]:
        """Return all files below a folder, relative to it."""
        filesystem, path = self._at(folder)
        return sorted(str(found).removeprefix(f"{path}/") for found in filesystem.find(path))

    def get(self, name: str, to: Path) -> None:
        """Copy a file here in one step, with the time at which it was written there, where that is known."""
        filesystem, path = self._at(plain_path(name))
        to.parent.mkdir(parents=True, exist_ok=True)
        part = to.with_name(f".{uuid.uuid4().hex}")
        try:
            filesystem.get_file(path, str(part))
            with contextlib.suppress(NotImplementedError, OSError):
                written = filesystem.modified(path).timestamp()
                os.utime(part, (written, written))
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)

    def put(self, path: Path, name: str) -> None:
        """Copy a file there."""
        filesystem, target = self._at(name)
        filesystem.makedirs(os.path.dirname(target), exist_ok=True)
        filesystem.put_file(str(path), target)

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        filesystem, path = self._at(name)
        with contextlib.suppress(FileNotFoundError):
            filesystem.rm_file(path)
