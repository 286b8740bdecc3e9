"""The consoles of all commands, and how wide they are: one rule for terminals, pipes and files."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from harness.core.text import without_controls

PIPE = 160
"""Columns of a pipe or a file, which has no width of its own."""

_STYLES = {"error:": "bold red", "failed:": "bold red", "warning:": "bold yellow", "note:": "bold"}


def width(stream: Any = None) -> int:
    """Return the columns of a stream (default: standard output): $COLUMNS, else the terminal's, else `PIPE`."""
    return Console(file=stream or sys.stdout, width=_fixed(stream or sys.stdout)).width


def _fixed(stream: Any) -> int | None:
    """Return the width of what has none of its own; None: rich finds it, also when a terminal changes its size."""
    return None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else PIPE


def stdout(**options: Any) -> Console:
    """Return the console for results."""
    return Console(width=_fixed(sys.stdout), **{"highlight": False, **options})


def stderr(**options: Any) -> Console:
    """Return the console for progress and messages."""
    return Console(stderr=True, width=_fixed(sys.stderr), **{"highlight": False, **options})


def plain(text: str, style: str = "") -> Text:
    """Return a text that rich takes as it is, brackets and all, and a terminal shows and does not obey."""
    return Text(without_controls(text), style=style)


def print_line(text: str) -> None:
    """Print a result on a line that is not broken: a path or a command in it can be copied."""
    stdout().print(plain(text), soft_wrap=True)


def message(kind: str, text: str) -> None:
    """Print "error: ...", "failed: ...", "warning: ..." or "note: ..." on standard error, on one line."""
    stderr().print(Text.assemble((kind, _STYLES[kind]), " ", plain(text)), soft_wrap=True)
