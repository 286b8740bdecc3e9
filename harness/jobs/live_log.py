"""The log of a job while it runs: a file that grows, so that what a killed worker printed is not lost.

In: what a job prints, line by line. Out: `log-HOST-PID.txt` in the job's scratch folder, which goes when the job is done.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from harness.core.paths import regular_files
from harness.core.store import Store

PATTERN = "log-*.txt"


class LiveLog:
    """One file that grows. When it holds more than `most` characters it is written anew, without its middle.

    A disk that refuses it costs the file and not the job.

    Args:
        folder: where it lies.
        whole: returns all that is kept of the log.
        most: characters; more than `whole` returns.
    """

    def __init__(self, folder: Path, whole: Callable[[], str], most: int) -> None:
        host = re.sub(r"[^A-Za-z0-9_.]", "_", platform.node())[:100]
        self.path = folder / f"log-{host}-{os.getpid()}.txt"
        self._whole, self._most, self._size = whole, most, 0
        self._file: TextIO | None = None
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._open()

    def _open(self) -> TextIO:
        # A line reaches the file when it ends: whoever is killed has lost the last one at most.
        return self.path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)

    def write(self, text: str) -> None:
        """Append."""
        if self._file is None:
            return
        self._size += len(text)
        try:
            if self._size > self._most:
                self._file.close()
                self._file = self._open()
                text = self._whole()
                self._size = len(text)
            self._file.write(text)
        except (OSError, ValueError):
            self.close()

    def close(self) -> None:
        """Write no more."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def remove(self) -> None:
        """Remove the file, and the folder where nothing else is in it: the log is kept elsewhere."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()


def live_logs(store: Store, key: str) -> list[Path]:
    """Return the logs of a job that is not done, as far as this machine sees them; the newest last.

    Of a job that runs it is one file; others are of tries that were killed.
    """

    def written(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return sorted(regular_files(store.scratch(key), PATTERN), key=written)
