"""What a dying worker process leaves behind: a fatal signal with its traceback, or the code of `os._exit`.

In: the path of a file that the driver can read too. Out: that file, where the process died of its own doing. A process that
is killed from outside (SIGKILL, for memory, with its node) leaves an empty file; a job that ends leaves none.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, TextIO

from harness.core.store import Store

_FATAL = "Fatal Python error: "
"""What `faulthandler` begins with."""


def last_words_file(store: Store, key: str) -> Path:
    """Return where the worker of a job leaves them."""
    return store.scratch(f"{key}.died")


@contextlib.contextmanager
def leaving_last_words(path: Path) -> Iterator[None]:
    """Let this process write why it dies into `path`, while the job inside runs; where it cannot be written, do nothing."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # the job will meet the same error and say it better
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.callback(path.unlink, missing_ok=True)
            stack.enter_context(_noting(stack.enter_context(path.open("w", encoding="utf-8"))))
        yield


@contextlib.contextmanager
def _noting(file: TextIO) -> Iterator[None]:
    was_on, exit_now = faulthandler.is_enabled(), os._exit

    def noted_exit(code: int) -> NoReturn:
        with contextlib.suppress(OSError, ValueError):
            print(f"os._exit({code}) was called", file=file, flush=True)
        exit_now(code)

    setattr(os, "_exit", noted_exit)  # noqa: B010
    faulthandler.enable(file)
    try:
        yield
    finally:
        faulthandler.disable()
        setattr(os, "_exit", exit_now)  # noqa: B010
        with contextlib.suppress(Exception):  # as Ray had set it, where standard error is a file
            if was_on:
                faulthandler.enable(all_threads=False)


def read_last_words(path: Path) -> tuple[str, str]:
    """Return (one line, all of it) of what a process said before it died, and forget it; empty where it said nothing."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
        path.unlink(missing_ok=True)
    except OSError:
        return "", ""
    line = text.partition("\n")[0]
    return line.removeprefix(_FATAL).strip().lower() if line.startswith(_FATAL) else line, text
