"""Where in a user's own code an error began, read from a traceback's text."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

_FRAME = re.compile(r'^\s*File "([^"\n]+)", line (\d+)', re.MULTILINE)
_PACKAGE = str(Path(__file__).parents[1])


def own_place(trace: str) -> str:
    """Return FILE:LINE of the innermost frame in the file of a method or a plugin; empty where there is none.

    Not the harness's frames, nor those of Python and of installed packages.
    """
    others = (_PACKAGE, "<", *(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")))
    found = [(file, line) for file, line in _FRAME.findall(trace) if not file.startswith(others)]
    return ":".join(found[-1]) if found else ""
