"""`harness logs`: what a job of a run printed, also while it runs."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.consoles import message
from harness.core.run_folder import RunFolder
from harness.core.text import without_controls
from harness.reporters.job_logs import RunJob, find_job, log_of, lost_logs, runs_now
from harness.reporters.runs import find_run, store_of

EVERY_S = 0.5
"""Seconds between two looks at a log that grows."""

ASK_S = 3.0
"""Seconds between two questions whether the job still runs."""


def logs(
    run: Annotated[str, typer.Argument(help="Name or folder of the run.")],
    job: Annotated[
        str,
        typer.Argument(help="A job of the run: its title, the first digits of its key, or a unique part of its title."),
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the log until the job ends or Ctrl-C.")
    ] = False,
    store: options.Store = "results",
) -> int:
    """Print the log of a job: running, done or failed.

    Examples: `harness logs RUN 'fit minimax'`, `harness logs RUN 4f1d0c --follow`. `harness status RUN` shows titles.
    """
    folder = RunFolder(find_run(run, store))
    found = find_job(folder, job)
    place = store_of(folder.path, store)
    path = log_of(folder, found, place)
    try:
        if follow and runs_now(folder, found):
            _follow(path, folder, found)
        else:
            _print(path.read_bytes())
    except KeyboardInterrupt:
        return 0
    for lost in lost_logs(folder, found):
        if lost != path:
            message("note:", f"log of an attempt that was lost: {lost}")
    return 0


def _print(text: bytes) -> None:
    sys.stdout.write(without_controls(text.decode("utf-8", errors="replace")))
    sys.stdout.flush()


def _follow(path: Path, folder: RunFolder, job: RunJob) -> None:
    """Print a log that grows, to its end: the worker writes a last line and removes the file."""
    asked = time.monotonic()
    with path.open("rb") as file:
        while True:
            rest = file.read()
            _print(rest[: rest.rfind(b"\n") + 1])
            file.seek(rest.rfind(b"\n") + 1 - len(rest), os.SEEK_CUR)
            if time.monotonic() - asked > ASK_S:
                asked = time.monotonic()
                if not runs_now(folder, job):
                    break
            size = _size(path)
            if size is None:
                break
            if size < file.tell():  # it was written anew, without its middle
                file.seek(0, os.SEEK_END)
            time.sleep(EVERY_S)
        with contextlib.suppress(OSError):  # removed on a network drive
            _print(file.read())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
