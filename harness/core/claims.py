"""Claims: two runs at once do a job once.

In: kind and key of a job that a run is about to hand out. Out: whether it may. store/claims/KEY.N holds the id of the run
that has the job; of several N the highest counts. store/claims/runs/ID is that run's sign of life, written again every few
seconds. Who finds the holder of a claim gone makes KEY.N+1, which only one can. A holder is gone when its sign of life is
old by the storage's own clock, compared with one's own sign, or when its process was on this machine and has ended.
A claim is a courtesy: where it cannot be had or asked for, the job is done twice, and the results are equal.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from types import TracebackType

from harness.core.claim_files import ClaimFiles, claim_files
from harness.core.process_identity import gone_from_here, own_process
from harness.core.store import Store

BEAT_S = 10.0
"""Between two signs of life."""


STALE_S = 60.0
"""Without a sign of life for so long, a run is taken for dead."""


SWEEP_S = 600.0
"""Signs of life and claims that are as old belong to nobody who would come back."""


_ASKED_S = 5.0
"""For so long an answer to "does that run live?" is kept."""


_log = logging.getLogger(__name__)


class Claims:
    """The claims of one run. A context manager: within it the run shows that it lives; at its end all claims are given back.

    Args:
        store: whose jobs are claimed.
    """

    def __init__(self, store: Store) -> None:
        self.run = uuid.uuid4().hex
        self._files: ClaimFiles = claim_files(store)
        self._held: dict[str, str] = {}
        self._alive: dict[str, tuple[float, bool]] = {}
        self._beats: threading.Thread | None = None
        self._stopping = threading.Event()
        self._works = False
        self._warned = False

    def __enter__(self) -> Claims:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to show that the run lives, and sweep away what dead runs left. Never raises."""
        try:
            self._beat()
            self._works = True
            self._sweep()
        except Exception as error:
            self._trouble(error)
        if self._works:
            self._stopping.clear()
            self._beats = threading.Thread(target=self._keep_beating, name="claims", daemon=True)
            self._beats.start()

    def stop(self) -> None:
        """Give all claims back. Never raises."""
        self._stopping.set()
        if self._beats is not None:
            self._beats.join(timeout=BEAT_S)
            self._beats = None
        for name in [*self._held.values(), self._sign(self.run)]:
            self._remove(name)
        self._held.clear()
        self._works = False

    def take(self, kind: str, key: str) -> bool:
        """Return whether this run may do a job: False while another that lives does it. Never raises."""
        if not self._works or key in self._held:
            return True
        try:
            return self._take(key)
        except Exception as error:
            self._trouble(error)
            return True

    def release(self, kind: str, key: str) -> None:
        """Give the claim on a job back: it has ended, well or not. Never raises."""
        name = self._held.pop(key, None)
        if name is not None:
            self._remove(name)

    def _take(self, key: str) -> bool:
        number, dead = 0, set[int]()
        for _ in range(4):  # others may take over, or give back, meanwhile
            made = self._files.create(_name(key, number), self.run)
            found = self._numbers(key)
            highest = max(found, default=-1)
            if made and number == highest and not self._any_lives(key, found - dead - {number}):
                self._hold(key, number, found)
                return True
            if made:  # another was quicker
                self._remove(_name(key, number))
                found -= {number}
                highest = max(found, default=-1)
            holder = self._files.read(_name(key, highest)) if found else None
            if holder == self.run:  # made before, by a request whose answer was lost
                self._hold(key, highest, found)
                return True
            if holder is not None and self._lives(holder):
                return False
            dead |= {highest}
            number = 0 if holder is None else highest + 1
        return False

    def _hold(self, key: str, number: int, found: set[int]) -> None:
        self._held[key] = _name(key, number)
        for old in found - {number}:  # of dead runs
            self._remove(_name(key, old))

    def _any_lives(self, key: str, numbers: set[int]) -> bool:
        holders = [self._files.read(_name(key, number)) for number in numbers]
        return any(self._lives(holder) for holder in holders if holder is not None)

    def _numbers(self, key: str) -> set[int]:
        ends = [name.removeprefix(f"{key}.") for name in self._files.names() if name.startswith(f"{key}.")]
        return {int(end) for end in ends if end.isdigit()}

    def _lives(self, run: str) -> bool:
        asked, alive = self._alive.get(run, (float("-inf"), False))
        if time.monotonic() - asked > _ASKED_S:
            alive = self._age(run) <= STALE_S
            self._alive[run] = (time.monotonic(), alive)
        return alive

    def _age(self, run: str) -> float:
        """Return the seconds between another run's sign of life and this run's; infinite where it is gone."""
        about = self._files.read(self._sign(run))
        if about is None or gone_from_here(about):
            return float("inf")
        try:
            then = self._files.modified(self._sign(run))
        except FileNotFoundError:
            return float("inf")
        try:
            return self._files.modified(self._sign(self.run)) - then
        except FileNotFoundError:  # this run was asleep for so long that another swept it away
            self._beat()
            return 0.0

    def _sign(self, run: str) -> str:
        return f"runs/{run}"

    def _beat(self) -> None:
        self._files.write(self._sign(self.run), own_process())

    def _keep_beating(self) -> None:
        while not self._stopping.wait(BEAT_S):
            try:
                self._beat()
            except Exception as error:
                self._trouble(error)

    def _sweep(self) -> None:
        """Remove the signs of life of runs that are gone for long, and claims of runs without a sign."""
        claims = self._files.names() - {"runs"}  # before the runs: each has shown that it lives before it claims
        runs = self._files.names("runs")
        gone = {run for run in runs - {self.run} if self._age(run) > SWEEP_S}
        for run in gone:
            self._remove(self._sign(run))
        for name in claims:
            if self._files.read(name) not in runs - gone:
                self._remove(name)

    def _remove(self, name: str) -> None:
        try:
            self._files.remove(name)
        except Exception as error:
            self._trouble(error)

    def _trouble(self, error: Exception) -> None:
        """Say once that claims do not work."""
        if not self._warned:
            self._warned = True
            _log.warning("cannot write job claims (%s): two runs at the same time may do the same job twice", error)


def _name(key: str, number: int) -> str:
    return f"{key}.{number}"
