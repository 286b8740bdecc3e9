"""What a job printed and warned while it ran: the text of `log.txt` beside its results.

In: the standard streams of the process and its logging handlers, for the length of a job. Out: plain text of bounded size.
The terminal sees what it saw before. While the job runs the text grows in a file of its own (live_log.py). What leaves the
process otherwise (child processes, C code) is not caught: that needs its file descriptors, which Ray and pytest hold.
"""

from __future__ import annotations

import datetime
import logging
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.core.text import duration, without_controls
from harness.jobs.live_log import LiveLog

LOG = "log.txt"


HALF = 500_000
"""Characters that are kept of the beginning and of the end of a log."""


class JobLog:
    """The log of one job; `keep` does the job and writes the log beside its results.

    Args:
        title: of the job.
        half: characters kept of the beginning, and as many of the end.
    """

    def __init__(self, title: str, half: int = HALF) -> None:
        self.title = title
        self._scratch: Path | None = None
        self._live: LiveLog | None = None
        self._half = half
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._room, self._tail_size, self._left_out = half, 0, 0
        self._started = self._ended = ""
        self._seconds = 0.0

    def grows_in(self, scratch: Path) -> None:
        """Let the log be read while it grows, from when the job begins: in a file of this folder."""
        self._scratch = scratch

    def write(self, text: str) -> None:
        """Append; the middle of what is too much is dropped."""
        self._keep(text)
        if self._live is not None:
            self._live.write(text)

    def _keep(self, text: str) -> None:
        self._head.append(text[: self._room])
        rest = text[self._room :]
        self._room -= len(text) - len(rest)
        self._left_out += max(0, len(rest) - self._half)
        rest = rest[-self._half :]
        if not rest:
            return
        self._tail.append(rest)
        self._tail_size += len(rest)
        while self._tail_size - len(self._tail[0]) >= self._half:
            dropped = len(self._tail.popleft())
            self._tail_size -= dropped
            self._left_out += dropped

    def text(self) -> str:
        """Return the log: the job and its times, and what it printed; empty before the job began."""
        if not self._started:
            return ""
        printed = self._printed().rstrip() or "(it printed nothing)"
        return f"{self._header()}{printed}\n\nended {self._ended or 'never'}, after {duration(self._seconds)}\n"

    def _header(self) -> str:
        return f"{self.title}\nstarted {self._started}\n\n"

    def _printed(self) -> str:
        middle = f"\n[{self._left_out:,} characters left out]\n" if self._left_out else ""
        return without_controls("".join(self._head)) + middle + without_controls("".join(self._tail))

    def keep(self, folder: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do a job, write its log into its folder, and return the fields of its manifest with the times added."""
        with self.recording():
            fields = work()
        (folder / LOG).write_text(self.text(), encoding="utf-8")
        return {**fields, "started": self._started, "ended": self._ended}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Copy what goes to standard output and standard error, by print, warnings or logging, into the log."""
        begun = datetime.datetime.now(datetime.UTC)
        self._started = begun.isoformat(timespec="seconds")
        self._go_live()
        out, err = sys.stdout, sys.stderr
        tees: list[Any] = [_Tee(out, self), _Tee(err, self)]
        sys.stdout, sys.stderr = tees
        handlers: list[tuple[logging.StreamHandler[Any], Any]] = []
        for handler in _handlers(out, err):
            tees.append(_Tee(_stream(handler), self))
            handlers.append((handler, handler.setStream(tees[-1])))
        # A warning is shown once a place and process; a filter more, here of nothing, makes it shown for this job too.
        warnings.simplefilter("default", category=_NeverWarned, append=True)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = out, err
            for handler, stream in handlers:
                handler.setStream(stream)
            for tee in tees:
                tee.log = None  # what outlives the job and holds a tee still reaches the terminal
            ended = datetime.datetime.now(datetime.UTC)
            self._ended, self._seconds = ended.isoformat(timespec="seconds"), (ended - begun).total_seconds()
            if self._live is not None:
                self._live.write(f"\nended {self._ended}, after {duration(self._seconds)}\n")
                self._live.close()

    def _go_live(self) -> None:
        if self._scratch is not None:
            self._live = LiveLog(self._scratch, lambda: self._header() + self._printed(), 4 * self._half)
            self._live.write(self._header())

    def drop_live(self) -> None:
        """Remove the file that grew: its text is in the outcome."""
        if self._live is not None:
            self._live.remove()


class _NeverWarned(Warning):
    """A category that nothing warns of."""


class _Tee:
    """A stream that copies into a log what is written to it; in all else the stream that it stands for."""

    def __init__(self, stream: Any, log: JobLog) -> None:
        self.stream = stream
        self.log: JobLog | None = log

    def write(self, text: str) -> int:
        if self.log is not None:
            self.log.write(text)
        return self.stream.write(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _stream(handler: logging.StreamHandler[Any]) -> Any:
    """Return the stream of a handler, and not the tee of an earlier job."""
    return handler.stream.stream if isinstance(handler.stream, _Tee) else handler.stream


def _handlers(*streams: Any) -> list[logging.StreamHandler[Any]]:
    """Return the logging handlers that hold a standard stream: they would not see that it was replaced."""
    standard = {id(s) for s in (*streams, sys.__stdout__, sys.__stderr__)}
    loggers = [logging.root, *(x for x in logging.root.manager.loggerDict.values() if isinstance(x, logging.Logger))]
    held = {id(h): h for logger in loggers for h in logger.handlers if "stream" in vars(h)}
    return [h for h in held.values() if isinstance(h, logging.StreamHandler) and id(_stream(h)) in standard]
