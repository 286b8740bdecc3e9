"""Show a run while it runs: a live panel in a terminal, one line that changes in a notebook, plain lines elsewhere.

In: job states, which count themselves, and the stages of running jobs. It changes nothing and decides nothing. A change
of one job costs the same whatever the number of jobs.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.core.text import duration, times, without_controls
from harness.core.traces import own_place
from harness.execution.executor import Stage
from harness.execution.status import Status, Statuses
from harness.execution.view import Loss, View
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.plan import Plan

SHOWN_STAGES = 8
"""Running jobs in the panel."""
SHOWN_FAILURES = 20
"""Failures that a notebook keeps, each on a line."""
REDRAW_S = 0.25
"""Seconds between two drawings, at least."""


class Pace:
    """Says when to do again what need not be done at each event."""

    def __init__(self, every_s: float = REDRAW_S) -> None:
        self.every_s = every_s
        self._last: float | None = None

    def due(self) -> bool:
        """Return whether the last yes is long enough ago; a yes counts from now."""
        now = time.monotonic()
        if self._last is not None and now - self._last < self.every_s:
            return False
        self._last = now
        return True


class TimeLeft:
    """Estimate the seconds left from the mean time of finished jobs of each kind; unknown until each kind has ended once.

    A job begins with its first report, not when it is handed out: it may wait for a worker. One that ends without a
    report that was seen began after the last look. How many jobs run side by side is what the run showed so far: seconds
    of jobs over seconds passed since the first began.

    Attributes:
        spent: seconds of the jobs that ended, by kind.
        ended: their number, by kind.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.ended: Counter[str] = Counter()
        self._begun: dict[str, float] = {}
        self._sum_begun = 0.0
        self._looked = time.monotonic()
        self._first: float | None = None
        self._pace = Pace()

    def update(self, status: Statuses, stages: Mapping[str, Stage]) -> None:
        """Note which jobs have begun."""
        self._looked = time.monotonic()
        if self._pace.due():  # thousands may run
            for key in stages:
                if key in status.running and key not in self._begun:
                    self._begin(key)

    def _begin(self, key: str) -> None:
        self._begun[key] = self._looked
        self._sum_begun += self._looked
        self._first = self._looked if self._first is None else self._first

    def end(self, job: Job) -> None:
        """Note that a job ended."""
        if job.key not in self._begun:
            self._begin(job.key)
        begun = self._begun.pop(job.key)
        self._sum_begun -= begun
        self.spent[job.kind] = self.spent.get(job.kind, 0.0) + time.monotonic() - begun
        self.ended[job.kind] += 1

    def forget(self, job: Job) -> None:
        """Drop a job that was lost: its time says nothing of how long one takes."""
        self._sum_begun -= self._begun.pop(job.key, 0.0)

    def seconds(self, status: Statuses) -> float | None:
        """Return the estimate, or None while a kind is to come that has not been timed."""
        left = status.to_come()
        if not all(self.ended[kind] for kind in left):
            return None
        return sum(number * self.spent[kind] / self.ended[kind] for kind, number in left.items()) / self._side_by_side()

    def _side_by_side(self) -> float:
        now = time.monotonic()
        worked = sum(self.spent.values()) + len(self._begun) * now - self._sum_begun
        return worked / (now - self._first) if worked and self._first is not None else 1.0


class PlainView(View):
    """One line when a job starts or ends, with the counts and the time left: for logs and pipes."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan = plan
        self.console = console
        self.left = TimeLeft()
        self.begun = time.monotonic()
        self._status = Statuses(plan.jobs)

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def update(self, status: Statuses, stages: Mapping[str, Stage]) -> None:
        """Remember the state for the next line."""
        self._status = status
        self.left.update(self._status, stages)

    def seconds_left(self) -> float | None:
        """Return the seconds left, estimated; None while a kind of job is to come that has not been timed."""
        return self.left.seconds(self._status)

    def ended(self, job: Job, status: Status, outcome: Outcome) -> None:
        """Print a line for a job that ended."""
        error = outcome.error
        self.left.end(job)
        counts = summary(self._status)
        left = self.left.seconds(self._status)
        rest = f", about {duration(left)} left" if left is not None and counts["to do"] else ""
        clock = duration(time.monotonic() - self.begun)
        total = sum(v for k, v in counts.items() if k != "cached") if counts["cached"] else len(self._status)
        place = f"{counts['done'] + counts['failed']}/{total}"
        blocked = f"; {times(counts['blocked'], 'job')} blocked by failed jobs" if error and counts["blocked"] else ""
        why = f": {told(outcome)}{blocked}" if error else ""
        self.tell(f"[{clock}] {place} {status}: {job.title}{why}{rest}", bool(error))

    def lost(self, job: Job, loss: Loss, tries_left: int) -> None:
        """Print a line for a job that was lost and is tried again."""
        self.left.forget(job)
        where = f" on {loss.host} after {duration(loss.seconds)}" if loss.host else ""
        clock = duration(time.monotonic() - self.begun)
        again = "retrying" + (f", {tries_left} more" if tries_left else " for the last time")
        self.tell(f"[{clock}] lost{where}: {job.title}: {loss.reason}; {again}", True)

    def waits(self, text: str) -> None:
        """Print what the run waits for."""
        self.tell(f"[{duration(time.monotonic() - self.begun)}] {text or 'continuing'}", bool(text))

    def tell(self, line: str, is_error: bool) -> None:
        """Print what became of a job."""
        self.console.print(Text(without_controls(line)), soft_wrap=True)


class NotebookView(PlainView):
    """The last line only, written anew when a job ends: a notebook keeps what it shows. Failures keep their lines."""

    def __init__(self, plan: Plan, console: Console) -> None:
        super().__init__(plan, console)
        self._pace = Pace()
        self._failed: list[str] = []
        self._num_failed = 0
        self._last = ""

    def __enter__(self) -> NotebookView:
        from IPython.display import display

        self._shown = display({"text/plain": "starting"}, raw=True, display_id=True)
        return self

    def __exit__(self, *exc: object) -> None:
        self._draw()

    def tell(self, line: str, is_error: bool) -> None:
        """Replace the line, below those of failures."""
        self._last = "" if is_error else line
        if is_error:
            self._num_failed += 1
            self._failed += [line] if self._num_failed <= SHOWN_FAILURES else []
        if self._pace.due() or (is_error and self._num_failed <= SHOWN_FAILURES):
            self._draw()

    def _draw(self) -> None:
        more = self._num_failed - len(self._failed)
        note = [f"... and {more:,} more failures"] if more else []
        lines = [*self._failed, *note, *filter(None, [self._last])]
        if lines:
            self._shown.update({"text/plain": "\n".join(lines)}, raw=True)


class LiveView(PlainView):
    """A panel that is redrawn in place: counts, a bar, the running jobs with their stages, the time left."""

    def __init__(self, plan: Plan, console: Console) -> None:
        super().__init__(plan, console)
        self._live = Live(console=console, refresh_per_second=1 / REDRAW_S, transient=True)
        self._stages: Mapping[str, Stage] = {}
        self._pace = Pace()

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def update(self, status: Statuses, stages: Mapping[str, Stage]) -> None:
        """Redraw, if the last drawing is old enough."""
        super().update(status, stages)
        self.note(stages)

    def ended(self, job: Job, status: Status, outcome: Outcome) -> None:
        """Failures are printed above the panel at once; the rest shows in the counts."""
        self.left.end(job)
        if outcome.error:
            self.tell(f"{status}: {job.title}: {told(outcome)}", True)

    def tell(self, line: str, is_error: bool) -> None:
        """Print above the panel."""
        self.console.print(Text(without_controls(line), style="red" if is_error else ""))

    def note(self, stages: Mapping[str, Stage]) -> None:
        """Redraw the stages, if the last drawing is old enough."""
        self._stages = stages
        if self._pace.due():
            self._live.update(self._render())

    def _render(self) -> Group:
        counts = summary(self._status)
        total = max(1, len(self._status))
        finished = total - counts["to do"] - counts["running"] - counts["blocked"]
        left = self.left.seconds(self._status)
        head = "  ".join(f"{name} {number}" for name, number in counts.items() if number or name in ("done", "running"))
        clock = f"{duration(time.monotonic() - self.begun)} passed" + (f", about {duration(left)} left" if left else "")
        keys, width = list(islice(self._running(), SHOWN_STAGES)), self.console.width
        titles = [self.plan.jobs[key].title for key in keys]
        table = Table.grid(padding=(0, 2))
        table.add_column(overflow="fold", min_width=min(max(map(len, titles), default=0), width // 2))
        for key, title in zip(keys, titles, strict=True):
            stage = self._stages.get(key)
            what = _stage_text(stage) if stage else "queued"
            bar = (
                ProgressBar(total=stage.total, completed=stage.done, width=min(24, width // 8))
                if stage and stage.total
                else ""
            )
            table.add_row(Text(title), bar, Text(what, style="dim"))
        whole = ProgressBar(total=total, completed=finished, width=min(60, width))
        return Group(Text(f"jobs: {head}   {clock}"), whole, table)

    def _running(self) -> Iterator[str]:
        """Yield the keys of running jobs: first those that say what they do, then those that wait for a worker."""
        running = self._status.running
        return chain((k for k in running if k in self._stages), (k for k in running if k not in self._stages))


def told(outcome: Outcome) -> str:
    """Return why a job failed, and where in the code of a method or a plugin."""
    place = own_place(outcome.trace)
    return f"{outcome.error}{f' ({place})' if place else ''}"


def _stage_text(stage: Stage) -> str:
    return f"{stage.name} {stage.done}/{stage.total} {stage.unit}" if stage.total else stage.name


def summary(status: Statuses) -> dict[str, int]:
    """Return how many jobs are in each state, in words."""
    counts = status.counts
    return {
        "done": counts["done"],
        "running": counts["running"],
        "failed": counts["failed"],
        "blocked": counts["blocked"],
        "cached": counts["cached"],
        "to do": counts["waiting"],
    }


def make_view(plan: Plan, console: Console) -> PlainView:
    """Return the live panel for a terminal, the line for a notebook, plain lines otherwise."""
    if console.is_jupyter:
        return NotebookView(plan, console)
    return LiveView(plan, console) if console.is_terminal and sys.stdout.isatty() else PlainView(plan, console)
