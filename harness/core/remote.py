"""The far side of a store: a folder of any file system that fsspec knows, and the private folder of its local copies.

In: names relative to the folder. Out: texts and files. Every answer is asked for now, because fsspec keeps listings for as
long as a process lives and other machines write meanwhile. What a lost connection may have caused is tried again, once the
remote has answered at all: who gives a wrong address hears so at once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from harness.core.errors import UserError
from harness.core.io import write_text_atomically
from harness.core.paths import plain_path
from harness.core.remote_errors import RemoteError, is_lost

_URI = "uri.txt"


WAITS_S: tuple[float, ...] = (0.5, 1.0, 2.0)
"""Before each further try of a call that a lost connection may have broken."""


_PROBE = "store/.writable"


_AT_ONCE = 8
"""Files that are copied at the same time, where the file system can."""


_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "adl"}
"""Schemes without folders: nothing must be made before a file is written."""


T = TypeVar("T")


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
    about, cure = top.lstat(), "Remove it, or set TMPDIR to your own folder."
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        raise UserError(f"{top}, for local copies of a remote store, is owned by another user. {cure}")
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(f"{top}, for local copies of a remote store, is writable by other users. {cure}")
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
    """One folder of a remote file system. What goes wrong raises `RemoteError`, but for a file that is not there.

    Args:
        uri: of the folder, as fsspec knows it ("s3://bucket/x").
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._answered = False
        self._made: set[str] = set()
        self._is_s3 = uri.split("://")[0] in ("s3", "s3a")
        self._has_folders = uri.split("://")[0] not in _OBJECT_STORES

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            import fsspec

            filesystem, path = fsspec.core.url_to_fs(self.uri, **(_s3_options() if self._is_s3 else {}))
        except (ValueError, ImportError) as error:
            raise self._error("read", error) from None
        if self._is_s3:
            filesystem.retries = 2  # beside our own
        return filesystem, path.rstrip("/")

    def _error(self, done: str, error: Exception) -> RemoteError:
        command = ": pip install 'distillation-harness[s3]'" if self._is_s3 else ""
        text = (
            f"store {self.uri}: cannot be {done} ({str(error) or type(error).__name__}). Check the address, your access to "
            f"it, and that the package that fsspec needs for it is installed{command}."
        )
        return RemoteError(text, str(error) or type(error).__name__, lost=is_lost(error))

    def _do(self, done: str, call: Callable[[Any, str], T], name: str = "") -> T:
        """Return `call(filesystem, path of name)`; after a lost connection it is tried again.

        Raises:
            FileNotFoundError, FileExistsError: as `call` does.
            RemoteError: anything else.
        """
        filesystem, base = self._opened
        waits = list(WAITS_S) if self._answered else []
        while True:
            filesystem.invalidate_cache()
            try:
                found = call(filesystem, f"{base}/{name}" if name else base)
            except (FileNotFoundError, FileExistsError, RemoteError):
                self._answered = True
                raise
            except Exception as error:  # each file system has errors of its own for no access and no connection
                if not is_lost(error) or not waits:
                    raise self._error(done, error) from None
                time.sleep(waits.pop(0))
            else:
                self._answered = True
                return found

    def make(self) -> None:
        """Make the folder where the file system has folders, and see that files can be written there.

        Raises:
            RemoteError: they cannot; nothing is left behind.
        """
        if self._has_folders:
            self._do("written", lambda filesystem, base: filesystem.makedirs(base, exist_ok=True))
        try:
            self.write(_PROBE, "")
        except FileNotFoundError as error:  # an object store without that bucket
            raise self._error("written", error) from None
        with contextlib.suppress(RemoteError):  # who may write and not remove can still work
            self.remove(_PROBE)

    def exists(self, name: str) -> bool:
        """Return whether there is such a file, which is a small one."""
        return self.read(name) is not None

    def read(self, name: str) -> str | None:
        """Return the text of a small file; None where it is not there. One request."""
        options = {"max_concurrency": 1} if self._is_s3 else {}  # else s3fs asks for the size first
        try:
            return self._do("read", lambda fs, path: fs.cat_file(path, **options), name).decode("utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            return ""

    def write(self, name: str, text: str) -> None:
        """Write a small file."""

        def pipe(filesystem: Any, path: str) -> None:
            self._make_parent(filesystem, path)
            filesystem.pipe_file(path, text.encode())

        self._do("written", pipe, name)

    def create(self, name: str, text: str) -> bool:
        """Write a small file unless it is there; return whether it was written. In one step, where the file system can."""

        def pipe(filesystem: Any, path: str) -> bool:
            self._make_parent(filesystem, path)
            try:
                filesystem.pipe_file(path, text.encode(), mode="create")
            except FileExistsError:
                return False
            except (NotImplementedError, ValueError, TypeError, OSError) as error:
                if isinstance(error, OSError) and error.errno != errno.ENOSYS:
                    raise
                # It cannot: two may both write now, and both do one job.
                if filesystem.exists(path):
                    return False
                filesystem.pipe_file(path, text.encode())
            return True

        return self._do("written", pipe, name)

    def modified(self, name: str) -> float:
        """Return when a file was written, in seconds, by the clock of the remote.

        Raises:
            FileNotFoundError: it is not there.
        """
        return float(self._do("read", lambda filesystem, path: filesystem.modified(path).timestamp(), name))

    def names(self, folder: str) -> set[str]:
        """Return what lies in a folder, by its last name: one listing, on S3 a request for each 1000."""
        try:
            found = self._do("read", lambda filesystem, path: filesystem.ls(path, detail=False), folder)
        except FileNotFoundError:
            return set()
        return {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in found}

    def files(self, folder: str) -> list[str]:
        """Return all files below a folder, relative to it: one listing, on S3 a request for each 1000."""
        path = f"{self._opened[1]}/{folder}"
        try:
            found = self._do("read", lambda filesystem, path: filesystem.find(path), folder)
        except FileNotFoundError:
            return []
        return sorted(str(one).removeprefix(f"{path}/") for one in found)

    def get(self, name: str, to: Path, *, dated: bool = False) -> None:
        """Copy a file here in one step.

        Args:
            name: of the file there.
            to: where it lies then.
            dated: with the time at which it was written there, where that is known: on S3 one request more.
        """
        part = to.with_name(f".{uuid.uuid4().hex}")

        def copy(filesystem: Any, path: str) -> None:
            filesystem.get_file(path, str(part))
            with contextlib.suppress(NotImplementedError, OSError):
                if dated:
                    written = filesystem.modified(path).timestamp()
                    os.utime(part, (written, written))

        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._do("read", copy, plain_path(name))
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)

    def put(self, path: Path, name: str) -> None:
        """Copy a file there."""

        def copy(filesystem: Any, target: str) -> None:
            self._make_parent(filesystem, target)
            filesystem.put_file(str(path), target)

        self._do("written", copy, name)

    def for_each(self, copy: Callable[[str], None], names: Iterable[str]) -> None:
        """Call `copy` with each name, several at the same time where the file system can."""
        if not getattr(self._opened[0], "async_impl", False):
            for name in names:
                copy(name)
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done in [pool.submit(copy, name) for name in names]:
                done.result()

    def _make_parent(self, filesystem: Any, path: str) -> None:
        parent = os.path.dirname(path)
        if self._has_folders and parent not in self._made:
            filesystem.makedirs(parent, exist_ok=True)
            self._made.add(parent)

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        with contextlib.suppress(FileNotFoundError):
            self._do("written", lambda filesystem, path: filesystem.rm_file(path), name)


def _s3_options() -> dict[str, Any]:
    """Return what keeps a wrong address from taking minutes; what fsspec's own configuration says goes first."""
    from fsspec.config import conf

    own = conf.get("s3", {}).get("config_kwargs", {})
    return {"config_kwargs": {"connect_timeout": 5, "retries": {"total_max_attempts": 1, "mode": "standard"}, **own}}
