"""The states of a job in progress at a remote store, so that a fit resumes from its last one wherever it lands.

In: folders of states, named so that a later one sorts last. Out: the newest whole one of the remote. A state is whole once
its mark is there. An upload that fails is no reason to lose the job: the next state is uploaded instead.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from pathlib import Path

from harness.core.errors import UserError
from harness.core.paths import is_plain
from harness.core.remote import RemoteFolder
from harness.core.remote_errors import RemoteError

EVERY_S = 30.0
"""Between two uploads, unless HARNESS_CHECKPOINT_UPLOAD_S says otherwise."""


_SHARE = 10
"""An upload of t seconds is followed by at least this many times t without one."""


_WHOLE = "whole"


_seen: set[tuple[str, str]] = set()
"""Store and folder where this process found states, or wrote some: only there is something to clear."""


def _every_s() -> float:
    """Return the seconds between two uploads.

    Raises:
        UserError: the environment gives no number.
    """
    text = os.environ.get("HARNESS_CHECKPOINT_UPLOAD_S", str(EVERY_S))
    try:
        return max(float(text), 0.0)
    except ValueError:
        raise UserError(f"HARNESS_CHECKPOINT_UPLOAD_S is {text!r}; expected a number of seconds, e.g. 30.") from None


class RemoteCheckpoint:
    """The remote side of the states of one class group, or of all groups of a job.

    Args:
        remote: the store.
        name: the folder of the states in it.
    """

    def __init__(self, remote: RemoteFolder, name: str) -> None:
        self.remote = remote
        self.name = name
        self._there: set[str] = set()
        self._every_s = _every_s()
        self._next = time.monotonic() + self._every_s

    def newest(self) -> str | None:
        """Return the name of the newest whole state there: one listing."""
        self._list()
        whole = [file.removesuffix(f"/{_WHOLE}") for file in self._there if file.endswith(f"/{_WHOLE}")]
        return max((name for name in whole if name.startswith("slot-") and "/" not in name), default=None)

    def _list(self) -> None:
        with contextlib.suppress(RemoteError):
            self._there = {file for file in self.remote.files(self.name) if is_plain(file)}
        if self._there:
            _seen.add((self.remote.uri, self.name))

    def fetch(self, slot: str, folder: Path) -> None:
        """Copy a state that `newest` named into `folder`, whole or not at all."""
        part = folder / f".{uuid.uuid4().hex}"
        try:
            for file in sorted(self._there):
                if file.startswith(f"{slot}/"):
                    self.remote.get(f"{self.name}/{file}", part / file.removeprefix(f"{slot}/"))
            with contextlib.suppress(OSError):  # another process has just done so
                part.rename(folder / slot)
        except (RemoteError, FileNotFoundError):
            return  # removed meanwhile, or not to be had: the older one here is as good
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def upload(self, slot: Path) -> None:
        """Copy a state there, then remove the older ones; nothing where the last upload was a short while ago."""
        began = time.monotonic()
        if began < self._next:
            return
        _seen.add((self.remote.uri, self.name))
        older, self._there = self._there, set()
        try:
            for name in [*sorted(path.name for path in slot.iterdir()), _WHOLE]:
                self._there.add(f"{slot.name}/{name}")
                if name == _WHOLE:
                    self.remote.write(f"{self.name}/{slot.name}/{name}", "")
                else:
                    self.remote.put(slot / name, f"{self.name}/{slot.name}/{name}")
            self._remove(older)
        except (RemoteError, FileNotFoundError):  # no connection, or a state that was replaced meanwhile
            self._there |= older
        ended = time.monotonic()
        self._next = ended + max(self._every_s, _SHARE * (ended - began))

    def _remove(self, files: set[str]) -> None:
        """Remove files, the marks first: what is half removed is not whole."""
        for file in sorted(files, key=lambda file: (not file.endswith(f"/{_WHOLE}"), file)):
            self.remote.remove(f"{self.name}/{file}")

    def clear(self, *, look: bool = False) -> None:
        """Remove everything: one listing, and a request for each file.

        Args:
            look: also where this process has seen no state.
        """
        here = {(uri, name) for uri, name in _seen if uri == self.remote.uri and f"{name}/".startswith(f"{self.name}/")}
        if here or look:
            with contextlib.suppress(RemoteError):
                self._list()
                self._remove(self._there)
        _seen.difference_update({*here, (self.remote.uri, self.name)})
