"""What the signals that end a run do: SIGTERM and SIGHUP end it as Ctrl-C does, a second signal ends it at once.

In: a command. Out: the same command, which sees a `KeyboardInterrupt`. The exit code is 128 and the number of the signal.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

SAME_S = 1.0
"""Seconds in which more signals count as one: launchers pass them on beside the terminal."""


class Stopping:
    """Use as a context manager around a command; in the main thread only, elsewhere it does nothing.

    Attributes:
        signum: of the signal that came first; 0: none.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._at = 0.0
        self._before: dict[int, Any] = {}
        self._terminals = [fd for fd in (1, 2) if os.isatty(fd)]

    @property
    def exit_code(self) -> int:
        """As a shell gives it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + (self.signum or signal.SIGINT)

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # there is no SIGHUP on Windows
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        if not self.signum:
            self.signum, self._at = signum, time.monotonic()
            if signum == getattr(signal, "SIGHUP", None):
                self._leave_terminal()
            raise KeyboardInterrupt
        if time.monotonic() - self._at > SAME_S:
            os._exit(self.exit_code)  # Ray's processes end with this one

    def _leave_terminal(self) -> None:
        """Let what is printed from now on go nowhere: the terminal is gone, and writing to it would be an error."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for fd in self._terminals:
            os.dup2(nowhere, fd)
