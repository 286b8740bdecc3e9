"""The small files of claims, in a folder here or at a remote: made exclusively, read, dated by the storage's clock.

In: plain names below store/claims. Out: texts, times, names.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Protocol

from harness.core.io import write_text_atomically
from harness.core.remote import RemoteFolder
from harness.core.store import Store

_FOLDER = "store/claims"


class ClaimFiles(Protocol):
    """What claims ask of a folder."""

    def create(self, name: str, text: str) -> bool:
        """Write a file unless it is there, in one step; return whether it was written."""

    def write(self, name: str, text: str) -> None:
        """Write or replace a file."""

    def read(self, name: str) -> str | None:
        """Return a file's text; None where it is not there."""

    def modified(self, name: str) -> float:
        """Return when a file was written, in seconds, by the storage's clock; raise FileNotFoundError."""

    def names(self, folder: str = "") -> set[str]:
        """Return what lies in the folder, or in one below."""

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""


def claim_files(store: Store) -> ClaimFiles:
    """Return the files of a store's claims."""
    return RemoteClaimFiles(store.remote) if store.is_remote else LocalClaimFiles(store.root / _FOLDER)


class LocalClaimFiles:
    """A folder here, which other machines may share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, name: str, text: str) -> bool:
        """Write the text beside it and link it there, which fails where the name is taken: nobody reads half of it."""
        target, part = self.folder / name, self.folder / f".{uuid.uuid4().hex}"
        self.folder.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        try:
            os.link(part, target)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            with contextlib.suppress(FileExistsError), target.open("x", encoding="utf-8") as file:
                file.write(text)
                return True
            return False
        finally:
            part.unlink(missing_ok=True)
        return True

    def write(self, name: str, text: str) -> None:
        """Replace it in one step."""
        write_text_atomically(self.folder / name, text)

    def read(self, name: str) -> str | None:
        """Return its text."""
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def modified(self, name: str) -> float:
        """Return its time, by the file system's clock."""
        return (self.folder / name).stat().st_mtime

    def names(self, folder: str = "") -> set[str]:
        """List it; hidden files are half written."""
        try:
            return {name for name in os.listdir(self.folder / folder) if not name.startswith(".")}
        except FileNotFoundError:
            return set()

    def remove(self, name: str) -> None:
        """Remove it."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / name).unlink()


class RemoteClaimFiles:
    """A folder of a remote store; each call is one request on S3."""

    def __init__(self, remote: RemoteFolder) -> None:
        self.remote = remote

    def create(self, name: str, text: str) -> bool:
        """On S3 a conditional PUT."""
        return self.remote.create(f"{_FOLDER}/{name}", text)

    def write(self, name: str, text: str) -> None:
        """Replace it."""
        self.remote.write(f"{_FOLDER}/{name}", text)

    def read(self, name: str) -> str | None:
        """Return its text."""
        return self.remote.read(f"{_FOLDER}/{name}")

    def modified(self, name: str) -> float:
        """Return its time, by the remote's clock."""
        return self.remote.modified(f"{_FOLDER}/{name}")

    def names(self, folder: str = "") -> set[str]:
        """List it."""
        return self.remote.names(f"{_FOLDER}/{folder}".rstrip("/"))

    def remove(self, name: str) -> None:
        """Remove it."""
        self.remote.remove(f"{_FOLDER}/{name}")
