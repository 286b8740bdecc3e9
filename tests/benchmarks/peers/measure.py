"""Time the same work done in several ways, in turns, so that what else the machine does falls on all of them.

The authors' code runs in a process of its own, ours in another, because ours sets its process up (freed pages are kept).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from harness.core.errors import UserError
from harness.jobs.threads import release_pages

THEIRS, OURS = "authors", "ours"


@dataclass(frozen=True)
class Peer:
    """One piece of work.

    Attributes:
        what: name of the row, with its unit.
        ways: `THEIRS` first, then ours by what sets them apart; each call does the work once.
        once: seconds of ours that are spent once for several units, divided already; added to every way of ours.
    """

    what: str
    ways: Mapping[str, Callable[[], object]]
    once: Callable[[], float] | None = None


def serve(peers: Iterable[Peer], device: torch.device) -> None:
    """Offer one row after the other on standard output, and time what standard input names; for a process of `Side`.

    Whatever the code prints goes to standard error. Before a way that is not the last one again, memory that the last one
    freed goes back to the system, because several would not fit; then the work is done once more than it is timed.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    last = ""
    for peer in peers:
        print(
            json.dumps({"what": peer.what, "ways": list(peer.ways), "once": peer.once is not None}),
            file=answers,
            flush=True,
        )
        while (asked := sys.stdin.readline().strip()) not in ("next", ""):
            if asked not in (last, THEIRS, "once"):
                release_pages()
                peer.ways[asked]()
            last = asked
            spent = peer.once() if asked == "once" and peer.once else seconds(peer.ways[asked], device)
            print(json.dumps(spent), file=answers, flush=True)


_ENDED = (
    "a process that is timed has ended: an error of its code, or too little memory; log.txt in the output folder tells"
)


class Side:
    """A process that serves, until its context ends.

    Args:
        command: that starts it.
        log: file for what it prints.
    """

    def __init__(self, command: list[str], log: Any) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
        )

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.__exit__(None, None, None)

    def offered(self) -> dict[str, Any] | None:
        """Return the next row; None after the last."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line and self._process.wait():
            raise UserError(_ENDED)
        return dict(json.loads(line)) if line else None

    def ask(self, what: str) -> float:
        """Return the seconds of a way, or of `once`."""
        self.say(what)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UserError(_ENDED)
        return float(line)

    def say(self, word: str) -> None:
        """Send a word that has no answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")


def rows(theirs: Side, ours: Side, rounds: int, only: str) -> Iterator[dict[str, Any]]:
    """Yield each row: median seconds of each way over the rounds, after one that is not counted, and the ratios."""
    while (row := theirs.offered()) is not None:
        ours.offered()
        if only in row["what"]:
            yield _measured(row, {way: theirs if way == THEIRS else ours for way in row["ways"]}, rounds)
        theirs.say("next")
        ours.say("next")


def _measured(row: dict[str, Any], sides: dict[str, Side], rounds: int) -> dict[str, Any]:
    found: dict[str, list[float]] = {way: [] for way in sides}
    for number in range(rounds + 1):
        for way, side in sides.items():
            spent = side.ask(way)
            found[way] += [spent] if number else []
    once = next(side for way, side in sides.items() if way != THEIRS).ask("once") if row["once"] else 0.0
    medians = {way: statistics.median(own) + (0.0 if way == THEIRS else once) for way, own in found.items()}
    ratios = {way: medians[THEIRS] / own for way, own in medians.items() if way != THEIRS}
    return {"what": row["what"], "seconds": medians, "ratio": ratios, "all": found, "once_s": once}


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return what a call takes; CPU seconds where it runs there, so that other programs do not lengthen them."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began
