"""The jobs that are handed out: since when, where they run, and when each last gave a sign of life.

In: what the executor's stages say. Out: a description of each for status.json. Times are this machine's, so that the clocks
of other machines do not matter.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.core.run_status import RunningJob
from harness.core.text import duration
from harness.execution.executor import Stage
from harness.jobs.execute import Where
from harness.jobs.job import Job

QUIET_S = 600.0
"""A job that gives no sign of life for so long is warned of, and again each time that long."""


_SKEW_S = 5.0
"""By so much the clocks of two machines may differ, for a report to be of the try that it seems to be before."""


@dataclass
class Try:
    """One try of a job.

    Attributes:
        handed: when it was handed out.
        begun: when it was first seen at work; None: it waits for a worker, as far as is known.
        heard: when it last gave a sign of life.
        stage: the last that it reported.
        told: when it was last warned of.
    """

    job: Job
    attempt: int
    handed: float
    begun: float | None = None
    heard: float = 0.0
    stage: Stage | None = None
    told: float = field(default=0.0)

    def hear(self, stage: Stage, now: float) -> None:
        """Take a report; the same one again is no sign of life, and one of the try before is none of this."""
        if stage.where is not None and stage.where.began < self.handed - _SKEW_S:
            return
        if self.begun is None:
            self.begun = now
        if stage != self.stage:
            self.stage, self.heard = stage, now

    def where(self) -> Where | None:
        """Return where it runs, as far as is known."""
        return self.stage.where if self.stage else None

    def quiet_s(self, now: float) -> float:
        """Return the seconds since its last sign of life."""
        return max(0.0, now - max(self.heard, self.handed))


class Tries:
    """All tries that run.

    Args:
        gpus: returns how many GPUs a job holds.
        quiet_s: seconds without a sign of life after which a job is warned of.
    """

    def __init__(self, gpus: Callable[[Job], float], quiet_s: float = QUIET_S) -> None:
        self.gpus, self.limit = gpus, quiet_s
        self.running: dict[str, Try] = {}
        self._attempts: Counter[str] = Counter()

    def start(self, job: Job) -> Try:
        """Note a job that was handed out."""
        self._attempts[job.key] += 1
        now = time.time()
        self.running[job.key] = one = Try(job, self._attempts[job.key], now, heard=now, told=now)
        return one

    def end(self, key: str, stages: Mapping[str, Stage]) -> Try | None:
        """Forget a try that ended and return it; None for a job that was never handed out."""
        one = self.running.pop(key, None)
        if one is not None and key in stages:
            one.hear(stages[key], time.time())
        return one

    def hear(self, stages: Mapping[str, Stage]) -> None:
        """Take what the running jobs report."""
        now = time.time()
        for key, stage in list(stages.items()):
            if (one := self.running.get(key)) is not None:
                one.hear(stage, now)

    def held(self, now: float) -> Iterator[tuple[float, float, float]]:
        """Yield CPUs, GPUs and seconds so far of each try at work."""
        for one in self.running.values():
            if one.begun is not None:
                yield float(one.job.resources.cpus), self.gpus(one.job), max(0.0, now - one.begun)

    def warnings(self) -> Iterator[str]:
        """Yield a line for each job that was quiet for too long since it was last warned of."""
        now = time.time()
        for one in list(self.running.values()):
            if now - max(one.heard, one.told) >= self.limit:
                one.told = now
                yield self._warning(one, now)

    def _warning(self, one: Try, now: float) -> str:
        past = duration(one.quiet_s(now))
        if one.stage is None:
            return f"warning: {one.job.title}: submitted {past} ago but not started; waiting for a free worker"
        where = one.where()
        place = f" on {where.host}, process {where.pid}" if where else ""
        return f"warning: {one.job.title}: no sign of life for {past}{place}; last seen in: {stage_text(one.stage)}"

    def describe(self, most: int) -> list[RunningJob]:
        """Return the first `most`: those at work before those that wait, the oldest first."""
        now = time.time()
        tries = list(self.running.values())
        chosen = [one for one in tries if one.begun is not None][:most]
        chosen += [one for one in tries if one.begun is None][: most - len(chosen)]
        return [self._describe(one, now) for one in chosen]

    def _describe(self, one: Try, now: float) -> RunningJob:
        stage, where, quiet = one.stage, one.where(), one.quiet_s(now)
        return RunningJob(
            key=one.job.key, kind=one.job.kind, title=one.job.title[:500], attempt=one.attempt, handed=one.handed,
            since=one.begun, seen=one.heard if one.begun else None, quiet_s=quiet if quiet >= self.limit else None,
            stage=stage.name[:200] if stage else "", done=max(0, stage.done) if stage else 0,
            total=max(0, stage.total) if stage else 0, unit=stage.unit[:50] if stage else "",
            host=where.host if where else "", node=where.node if where else "", pid=where.pid if where else 0,
            device=where.device if where else "", cpus=float(one.job.resources.cpus), gpus=self.gpus(one.job),
        )  # fmt: skip


def stage_text(stage: Stage) -> str:
    """Return what a job does: "epoch 3/10", or the name of the stage."""
    return f"{stage.name} {stage.done}/{stage.total} {stage.unit}".rstrip() if stage.total else stage.name
