"""`harness ARGS` in processes that begin with the imports done, so that a test pays for what it asks about.

Each is forked from one server that has imported what a run imports (`warm`), and is a process of its own all the same:
it has a main thread of its own, takes signals, and dies of SIGKILL at any moment of its work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from functools import cache
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.helpers.support import ROOT

_started: list[BaseProcess] = []


@cache
def _server() -> Any:
    """Start the server, which finds modules where this process does, and wait for its imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"{__package__}.warm".lstrip(".")])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    forkserver.ensure_running()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
    first = context.Process(target=int)  # it waits for the imports, so that no test's clock counts them
    first.start()
    first.join()
    return context


def start(log: Path, *args: str | Path, env: dict[str, str] | None = None) -> BaseProcess:
    """Start `harness ARGS` and return its process; what it prints on either stream is added to the file `log`.

    Args:
        log: the file.
        *args: the command line.
        env: variables of its environment, besides those of this process when the first was started.
    """
    process: BaseProcess = _server().Process(target=_main, args=(log, [str(a) for a in args], env or {}))
    process.start()
    _started.append(process)
    return process


def end_all() -> None:
    """Kill what was started and has not ended: a test that failed left it."""
    while _started:
        process = _started.pop()
        if process.exitcode is None:
            process.kill()
            process.join()


def finish(process: BaseProcess, timeout: float = 300) -> int:
    """Wait for the process and return its exit code; one that takes longer is killed and fails the test."""
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"not ended after {timeout} s")
    return process.exitcode


def _main(log: Path, args: list[str], env: dict[str, str]) -> None:
    """Be the command line, in the new process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and what nohup starts the end of its terminal
    told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 1)
    os.dup2(told, 2)
    os.chdir(ROOT)
    os.environ |= {"COLUMNS": "200", "NO_COLOR": "1"} | env
    sys.argv = ["harness", *args]

    from harness.cli import main

    main()
