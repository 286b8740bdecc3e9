"""Whether all machines share one store: what one writes, the others see.

The driver makes a folder with one file in it; each node looks for that file and writes one of its own beside it. A node that
does not see the driver's file writes nothing. At the end the driver removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Any

from harness.core.errors import UserError
from harness.core.text import shorten

PATIENCE_S = 5.0
"""How long a file may take to be seen on another machine: network file systems remember for some seconds what was not there."""

_DRIVER = "driver"


@dataclass(frozen=True)
class Probe:
    """A folder for one file of each machine.

    Args:
        uri: of the store: a folder, or what fsspec knows.
        name: of this probe; no two are equal.
    """

    uri: str
    name: str

    def _place(self) -> tuple[Any, str]:
        """Return the file system, and the folder there: in the store, or where a local store would be made."""
        import fsspec

        files, path = fsspec.core.url_to_fs(self.uri)
        if "file" in ((files.protocol,) if isinstance(files.protocol, str) else files.protocol):
            while not os.path.isdir(path) and os.path.dirname(path) != path:
                path = os.path.dirname(path)
        return files, f"{path.rstrip('/')}/.probe-{self.name}"

    def open(self) -> None:
        """Make the folder and the driver's file.

        Raises:
            UserError: the store cannot be written here.
        """
        try:
            files, folder = self._place()
            files.makedirs(folder, exist_ok=True)
            files.pipe_file(f"{folder}/{_DRIVER}", b"driver")
        except Exception as error:  # each file system has errors of its own
            raise UserError(f"store {self.uri}: cannot be written ({error}).") from None

    def write(self, node: str) -> str:
        """Write a node's file beside the driver's; runs on the node.

        Returns:
            What is wrong; empty where nothing is.
        """
        try:
            files, folder = self._place()
            if _missing(files, folder, {_DRIVER}):
                return f"does not see the store {self.uri} of this machine; use one shared folder on all machines"
            files.pipe_file(f"{folder}/{node}", node.encode())
        except Exception as error:
            return f"cannot write to the store {self.uri} ({type(error).__name__}: {shorten(str(error), 200)})"
        return ""

    def unseen(self, nodes: set[str]) -> set[str]:
        """Return the nodes whose files are not seen here."""
        files, folder = self._place()
        return _missing(files, folder, nodes)

    def close(self) -> None:
        """Remove everything."""
        with contextlib.suppress(Exception):  # the check has its result
            files, folder = self._place()
            files.invalidate_cache()
            files.rm(folder, recursive=True)


def _missing(files: Any, folder: str, names: set[str]) -> set[str]:
    """Return which files are not in a folder, neither now nor soon."""
    end = time.monotonic() + PATIENCE_S
    while True:
        files.invalidate_cache()
        names = {name for name in names if not files.exists(f"{folder}/{name}")}
        if not names or time.monotonic() > end:
            return names
        time.sleep(0.2)
