"""Artefacts at a remote: store/KIND/KEY with the manifest last, and an empty file store/whole/KIND/KEY after it.

In: kind, key and a local folder. Out: an artefact that is there whole or not at all. The empty files are what is listed: a
listing costs by the number of artefacts, not of their files. Between manifest and mark the artefact is there for who asks
for it by key; a kill in between costs one such question.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from harness.core.integrity import MANIFEST
from harness.core.remote import RemoteFolder
from harness.core.remote_errors import RemoteError


class RemoteArtefacts:
    """The artefacts of one remote store, as one process sees them."""

    def __init__(self, remote: RemoteFolder) -> None:
        self.remote = remote
        self._listed: dict[str, set[str]] = {}

    def has(self, kind: str, key: str, *, anew: bool) -> bool:
        """Return whether an artefact is there: each kind is listed once, `anew` asks for this one's manifest."""
        if not anew:
            return key in self._list(kind)
        if self.manifest_text(kind, key) is None:
            return False
        self._mark(kind, key)
        return True

    def _list(self, kind: str) -> set[str]:
        if kind not in self._listed:
            self._listed[kind] = self.remote.names(f"store/whole/{kind}")
        return self._listed[kind]

    def _mark(self, kind: str, key: str) -> None:
        """List an artefact that is whole. Without the mark it is still found by key."""
        if key not in self._listed.get(kind, ()):
            with contextlib.suppress(RemoteError):
                self.remote.write(f"store/whole/{kind}/{key}", "")
            if kind in self._listed:
                self._listed[kind].add(key)

    def manifest_text(self, kind: str, key: str) -> str | None:
        """Return the text of a manifest; None where there is no such artefact. One request."""
        return self.remote.read(f"store/{kind}/{key}/{MANIFEST}")

    def put(self, kind: str, key: str, folder: Path, files: Iterable[str], *, replace: bool) -> None:
        """Copy an artefact there, the manifest last; one that is there stays, unless it is to be replaced."""
        target = f"store/{kind}/{key}"
        if self.manifest_text(kind, key) is not None:
            if not replace:
                self._mark(kind, key)
                return
            self.remove(kind, key)  # the manifest would speak of files that are half replaced
        self.remote.for_each(lambda name: self.remote.put(folder / name, f"{target}/{name}"), files)
        self.remote.put(folder / MANIFEST, f"{target}/{MANIFEST}")
        self._mark(kind, key)

    def remove(self, kind: str, key: str) -> None:
        """Make an artefact absent: mark and manifest go, its files are written over by the next."""
        self.unlist(kind, key)
        self.remote.remove(f"store/{kind}/{key}/{MANIFEST}")

    def withdraw(self, kind: str, key: str) -> None:
        """Make a damaged artefact absent; its manifest stays beside its files, under another name."""
        text = self.manifest_text(kind, key)
        if text is not None:
            self.remote.write(f"store/{kind}/{key}/damaged-{MANIFEST}", text)
        self.remove(kind, key)

    def unlist(self, kind: str, key: str) -> None:
        """Remove the mark of an artefact that is not there, so that the next run makes it."""
        self._listed.get(kind, set()).discard(key)
        self.remote.remove(f"store/whole/{kind}/{key}")

    def get(self, kind: str, key: str, files: Iterable[str], folder: Path) -> None:
        """Copy an artefact's files here, into a folder of the caller."""
        self.remote.for_each(lambda name: self.remote.get(f"store/{kind}/{key}/{name}", folder / name), files)
