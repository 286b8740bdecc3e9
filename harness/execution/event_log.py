"""Append a line to events.jsonl for each thing that happens in a run; harness/core/run_status.py says what stands in one."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO


class EventLog:
    """A file that only grows. What cannot be written is left out: it is no reason to end a run.

    Args:
        path: of the file.
        waiting: returns how many jobs wait.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, waiting: Callable[[], int]) -> None:
        self.path = path
        self._waiting = waiting
        self._file: TextIO = path.open("a", encoding="utf-8", buffering=1)  # a line reaches the file at once

    def tell(self, event: str, **fields: Any) -> None:
        """Append a line."""
        line = json.dumps(
            {"t": time.time(), "event": event, **fields, "waiting": self._waiting()}, separators=(",", ":")
        )
        with contextlib.suppress(OSError, ValueError):
            self._file.write(f"{line}\n")

    def close(self) -> None:
        """Write no more."""
        with contextlib.suppress(OSError):
            self._file.close()
