"""Write down how a run is while it runs: status.json, a line of events.jsonl for each thing that happens, logs of lost tries.

In: what the scheduler tells its views. Out: files in the run's folder, from where `harness status`, `harness logs` and
`harness trace` read. An event costs the same for 500 jobs and for 50,000; nothing here ends a run.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.run_folder import RunFolder
from harness.core.run_status import EndedTry, Machine, RunStatus, State
from harness.execution.event_log import EventLog
from harness.execution.executor import Stage
from harness.execution.status import Status, Statuses
from harness.execution.tries import Tries, Try
from harness.execution.usage import Usage
from harness.execution.view import Loss, View
from harness.jobs.execute import Outcome, Where
from harness.jobs.job import Job

BEAT_S = 2.0
"""Seconds between two signs of life of the driver."""

LISTED = 100
"""Running jobs in status.json; the others are counted."""

LAST = 20
"""Failures and losses in status.json, the last."""

ASK_MACHINES_S = 10.0
"""Seconds between two questions which machines there are."""

UPLOAD_EVENTS_S = 60.0
"""Seconds between two copies of events.jsonl to a remote store: each time it is the whole file."""

_WORDS = 2000
"""Characters of a title or an error in these files."""


@dataclass(frozen=True)
class Surroundings:
    """What a monitor asks of, and tells to, the rest of a run. Each call may come from another thread.

    Attributes:
        suite, executor: their names.
        jobs: of the plan, by key.
        gpus: how many GPUs a job holds.
        seconds_left: of the run, estimated; called from the scheduler's thread.
        warn: takes a line for people.
        live_log: what a job that was killed had printed.
        upload: copies a file of the run's folder to the remote; None: the store is local.
        beat_s: seconds between two signs of life.
        quiet_s: seconds without a sign of life after which a job is warned of.
    """

    suite: str
    executor: str
    jobs: Mapping[str, Job]
    gpus: Callable[[Job], float]
    seconds_left: Callable[[], float | None]
    warn: Callable[[str], None]
    live_log: Callable[[Job], str]
    upload: Callable[[Path], object] | None = None
    beat_s: float = BEAT_S
    quiet_s: float = 600.0


class Monitor(View):
    """A view that writes files. It does nothing before `begin`, which starts a thread: the driver may be busy for minutes."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.tries = Tries(around.gpus, around.quiet_s)
        self.usage = Usage()
        self._folder: RunFolder | None = None
        self._machines: Callable[[], list[Machine]] = list
        self._events: EventLog | None = None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._state: State = "running"
        self._started = self._asked = self._looked = 0.0
        self._status: Statuses | None = None
        self._counts: tuple[dict[str, int], dict[str, dict[str, int]], float | None] = ({}, {}, None)
        self._stages: Mapping[str, Stage] = {}
        self._failures: deque[EndedTry] = deque(maxlen=LAST)
        self._losses: deque[EndedTry] = deque(maxlen=LAST)
        self._num_losses, self._lost_s, self._waits = 0, 0.0, ""

    def begin(self, folder: RunFolder, status: Statuses, machines: Callable[[], list[Machine]]) -> None:
        """Write the first files and go on in a thread of its own.

        Args:
            folder: of the run.
            status: of its jobs.
            machines: returns those that the executor has.

        Raises:
            OSError: the run's folder cannot be written.
        """
        self._folder, self._status, self._machines, self._started = folder, status, machines, time.time()
        folder.write_jobs({key: (job.kind, job.title[:_WORDS]) for key, job in self.around.jobs.items()})
        self._events = EventLog(folder.events_file, lambda: status.counts["waiting"])
        self._tell("run", host=platform.node(), pid=os.getpid(), title=folder.name)
        self._count()
        self.beat()
        if self.around.upload is not None:
            self._upload(folder.jobs_file)
        self._thread = threading.Thread(target=self._go_on, name="harness-monitor", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def leaving(self, state: State) -> Iterator[None]:
        """Say that no job runs any more while the run's files are written, and then how it ended."""
        self._end("finishing")
        try:
            yield
        except BaseException:
            state = "failed"
            raise
        finally:
            self._close(state)

    def _end(self, state: State) -> None:
        with self._lock:
            self.usage.offer(self.usage.machines, time.time())
            self._state = state
            self.tries.running.clear()
        if self._folder is not None:
            self._count()
            self._tell("end")
            self.beat()

    def _close(self, state: State) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=30)
        self._state = state
        if self._folder is not None:
            self.beat()
            if self.around.upload is not None:
                self._upload(self._folder.events_file)
                self._upload(self._folder.status_file)
        if self._events is not None:
            self._events.close()

    def _go_on(self) -> None:
        uploaded = time.monotonic()
        while not self._stop.wait(self.around.beat_s):
            self.beat()
            if self.around.upload is not None and self._folder is not None:
                self._upload(self._folder.status_file)
                if time.monotonic() - uploaded > UPLOAD_EVENTS_S:
                    self._upload(self._folder.events_file)
                    uploaded = time.monotonic()

    def _upload(self, path: Path) -> None:
        assert self.around.upload is not None
        with contextlib.suppress(Exception):  # whatever the remote says: a sign of life is never worth a run
            self.around.upload(path)

    def beat(self) -> None:
        """Write status.json, and warn of jobs that are quiet."""
        with contextlib.suppress(Exception), self._lock:  # a full disk, a lost cluster: never worth a run
            now = time.time()
            if self._state == "running":
                self._offer(now)
            self.tries.hear(self._stages)
            for line in self.tries.warnings():
                self.around.warn(line)
            if self._folder is not None:
                self._folder.write_status(self.status(now))

    def _offer(self, now: float) -> None:
        """Count the time that passed as offered by the machines; ask now and then which there are."""
        machines = self.usage.machines
        if not machines or now - self._asked >= ASK_MACHINES_S:
            self._asked = now
            with contextlib.suppress(Exception):  # the cluster does not answer
                machines = self._machines()
        if self.usage.offer(machines, now):
            self._tell("machines", machines=[machine.model_dump() for machine in machines])

    def status(self, now: float) -> RunStatus:
        """Return how the run is."""
        assert self._folder is not None
        counts, by_kind, left_s = self._counts
        running = self.tries.describe(LISTED)
        return RunStatus(
            run=self._folder.name, suite=self.around.suite, state=self._state, executor=self.around.executor,
            host=platform.node(), pid=os.getpid(), started=self._started, seen=now,
            ended=None if self._state in ("running", "finishing") else now, counts=counts, by_kind=by_kind, left_s=left_s,
            running=running, more_running=len(self.tries.running) - len(running), failures=list(self._failures),
            waits=self._waits, losses=list(self._losses), num_losses=self._num_losses, lost_s=self._lost_s,
            use=self.usage.use(self.tries.held(now)), machines=self.usage.machines,
        )  # fmt: skip

    def update(self, status: Statuses, stages: Mapping[str, Stage]) -> None:
        """Remember what jobs do; count at most once a second."""
        self._status = status
        self.note(stages)

    def note(self, stages: Mapping[str, Stage]) -> None:
        """Remember what jobs do, while one runs in this process."""
        self._stages = stages
        if time.monotonic() - self._looked > 1.0:
            self._count()

    def _count(self) -> None:
        self._looked = time.monotonic()
        if self._status is not None:
            by_kind: dict[str, dict[str, int]] = {}
            for (kind, state), number in self._status.counts_by_kind.items():
                if number:
                    by_kind.setdefault(kind, {})[state] = number
            self._counts = ({k: v for k, v in self._status.counts.items() if v}, by_kind, self.around.seconds_left())

    def started(self, job: Job) -> None:
        """Note a job that was handed out."""
        with self._lock:
            one = self.tries.start(job)
            self._tell("started", **_named(job), attempt=one.attempt, **self._held(job))

    def ended(self, job: Job, status: Status, outcome: Outcome) -> None:
        """Note how a job ended; keep what a killed one had printed."""
        with self._lock:
            one, now = self.tries.end(job.key, self._stages), time.time()
            place = self._place(job, one, outcome.where, now)
            if outcome.error:
                why = outcome.error[:_WORDS]
                self._failures.append(
                    EndedTry(**_named(job), at=now, why=why, host=place["host"], seconds=self._seconds(place, now))
                )
                self._tell("failed", **_named(job), **place, why=why, status="failed")
                self._keep_error(job, outcome)
            else:
                self._tell("ended", **_named(job), **place, status=status)

    def lost(self, job: Job, loss: Loss, tries_left: int) -> None:
        """Note a try that was lost, and keep what it had printed."""
        with self._lock:
            one, now = self.tries.end(job.key, self._stages), time.time()
            place = self._place(job, one, None, now)
            place["host"] = loss.host or place["host"]
            why = loss.reason[:_WORDS]
            self._num_losses += 1
            self._lost_s += max(0.0, loss.seconds)
            self._losses.append(
                EndedTry(**_named(job), at=now, why=why, host=place["host"], seconds=max(0.0, loss.seconds))
            )
            self._tell("lost", **_named(job), **place, why=why, status="lost")
            self._keep_log(job, f".lost{place['attempt']}.log")

    def waits(self, text: str) -> None:
        """Note what keeps the run from going on."""
        self._waits = text[:_WORDS]

    def _place(self, job: Job, one: Try | None, where: Where | None, now: float) -> dict[str, Any]:
        """Return where and when a try ran that has just ended, and count what it held."""
        if one is None:
            return {"attempt": 1, "host": ""}
        where = where or one.where()
        place: dict[str, Any] = {"attempt": one.attempt, "host": "", **self._held(job)}
        if where is not None:  # another machine's clock may go before or after this one's
            place |= {"host": where.host, "node": where.node, "pid": where.pid, "device": where.device}
            place["began"] = min(max(where.began, one.handed), now)
            self.usage.hold(place["cpus"], place["gpus"], self._seconds(place, now))
        return place

    def _seconds(self, place: Mapping[str, Any], now: float) -> float:
        return now - place["began"] if "began" in place else 0.0

    def _held(self, job: Job) -> dict[str, float]:
        return {"cpus": float(job.resources.cpus), "gpus": self.around.gpus(job)}

    def _keep_error(self, job: Job, outcome: Outcome) -> None:
        """Write what a failed job left now: somebody may want to read it while others run."""
        with contextlib.suppress(Exception):
            if self._folder is not None:
                self._folder.write_error(job.title, outcome.trace, outcome.log or self.around.live_log(job))

    def _keep_log(self, job: Job, ending: str) -> None:
        with contextlib.suppress(Exception):  # its machine is gone, or the disk is full
            if self._folder is not None and (text := self.around.live_log(job)):
                self._folder.write_log(job.title, text, ending)

    def _tell(self, event: str, **fields: Any) -> None:
        if self._events is not None:
            self._events.tell(event, **fields)


def _named(job: Job) -> dict[str, str]:
    return {"key": job.key, "kind": job.kind, "title": job.title[:_WORDS]}
