"""Show a run while it runs: a live panel in a terminal, one line that changes in a notebook, plain lines elsewhere.

In: job states and the stages of running jobs. It changes nothing and decides nothing.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.core.text import duration, without_controls
from harness.execution.executor import Stage
from harness.execution.status import Status
from harness.execution.view import Loss, View
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.plan import Plan

SHOWN_STAGES = 8


class TimeLeft:
    """Estimate the seconds left from the mean time of finished jobs of each kind; unknown until each kind has ended once.

    A job begins with its first report, not when it is handed out: it may wait for a worker. One that ends without a
    report that was seen began after the last look. How many jobs run side by side is what the run showed so far: seconds
    of jobs over seconds passed since the first began.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.spent: dict[str, list[float]] = {}
        self._begun: dict[str, float] = {}
        self._looked = time.monotonic()
        self._first: float | None = None

    def update(self, status: dict[str, Status], stages: dict[str, Stage]) -> None:
        """Note which jobs have begun."""
        self._looked = time.monotonic()
        for key in stages:
            if status.get(key) == "running" and key not in self._begun:
                self._begin(key)

    def _begin(self, key: str) -> None:
        self._begun[key] = self._looked
        self._first = self._looked if self._first is None else self._first

    def end(self, job: Job) -> None:
        """Note that a job ended."""
        if job.key not in self._begun:
            self._begin(job.key)
        self.spent.setdefault(job.kind, []).append(time.monotonic() - self._begun.pop(job.key))

    def forget(self, job: Job) -> None:
        """Drop a job that was lost: its time says nothing of how long one takes."""
        self._begun.pop(job.key, None)

    def seconds(self, status: dict[str, Status]) -> float | None:
        """Return the estimate, or None while a kind is to come that has not been timed."""
        mean = {kind: sum(spent) / len(spent) for kind, spent in self.spent.items()}
        todo = [self.plan.jobs[key].kind for key, state in status.items() if state in ("waiting", "running")]
        if not all(kind in mean for kind in todo):
            return None
        return sum(mean[kind] for kind in todo) / self._side_by_side()

    def _side_by_side(self) -> float:
        now = time.monotonic()
        worked = sum(map(sum, self.spent.values())) + sum(now - begun for begun in self._begun.values())
        return worked / (now - self._first) if worked and self._first is not None else 1.0


class PlainView(View):
    """One line when a job starts or ends, with the counts and the time left: for logs and pipes."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan = plan
        self.console = console
        self.left = TimeLeft(plan)
        self.begun = time.monotonic()
        self._status: dict[str, Status] = {}

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def update(self, status: dict[str, Status], stages: dict[str, Stage]) -> None:
        """Remember the state for the next line."""
        self._status = status
        self.left.update(status, stages)

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
        self.tell(f"[{clock}] {place} {status}: {job.title}{': ' + error if error else ''}{rest}", bool(error))

    def lost(self, job: Job, loss: Loss, tries_left: int) -> None:
        """Print a line for a job that was lost and is tried again."""
        self.left.forget(job)
        where = f" on {loss.host} after {duration(loss.seconds)}" if loss.host else ""
        clock = duration(time.monotonic() - self.begun)
        again = "tried again" + (f", {tries_left} more" if tries_left else ", for the last time")
        self.tell(f"[{clock}] lost{where}: {job.title}: {loss.reason}; {again}", True)

    def tell(self, line: str, is_error: bool) -> None:
        """Print what became of a job."""
        self.console.print(Text(without_controls(line)), soft_wrap=True)


class NotebookView(PlainView):
    """The last line only, written anew when a job ends: a notebook keeps what it shows. Failures keep their lines."""

    def __enter__(self) -> NotebookView:
        from IPython.display import display

        self._failed: list[str] = []
        self._shown = display({"text/plain": "starting"}, raw=True, display_id=True)
        return self

    def tell(self, line: str, is_error: bool) -> None:
        """Replace the line, below those of failures."""
        self._failed += [line] if is_error else []
        lines = self._failed if is_error else [*self._failed, line]
        self._shown.update({"text/plain": "\n".join(lines)}, raw=True)


class LiveView(PlainView):
    """A panel that is redrawn in place: counts, a bar, the running jobs with their stages, the time left."""

    def __init__(self, plan: Plan, console: Console) -> None:
        super().__init__(plan, console)
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._stages: dict[str, Stage] = {}

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def update(self, status: dict[str, Status], stages: dict[str, Stage]) -> None:
        """Redraw."""
        super().update(status, stages)
        self._stages = stages
        self._live.update(self._render())

    def ended(self, job: Job, status: Status, outcome: Outcome) -> None:
        """Failures are printed above the panel at once; the rest shows in the counts."""
        self.left.end(job)
        if outcome.error:
            self.tell(f"{status}: {job.title}: {outcome.error}", True)

    def tell(self, line: str, is_error: bool) -> None:
        """Print above the panel."""
        self.console.print(Text(without_controls(line), style="red" if is_error else ""))

    def show_stages(self, stages: dict[str, Stage]) -> None:
        """Redraw the stages while a job runs in this process."""
        self._stages = stages
        self._live.update(self._render())

    def _render(self) -> Group:
        counts = summary(self._status)
        total = max(1, len(self._status))
        finished = total - counts["to do"] - counts["running"]
        left = self.left.seconds(self._status)
        head = "  ".join(f"{name} {number}" for name, number in counts.items() if number or name in ("done", "running"))
        clock = f"{duration(time.monotonic() - self.begun)} passed" + (f", about {duration(left)} left" if left else "")
        table = Table.grid(padding=(0, 2))
        running = [key for key, state in self._status.items() if state == "running"]
        for key in sorted(running, key=lambda k: k not in self._stages)[:SHOWN_STAGES]:
            stage = self._stages.get(key)
            what = _stage_text(stage) if stage else "queued"
            bar = ProgressBar(total=stage.total, completed=stage.done, width=24) if stage and stage.total else Text("")
            table.add_row(Text(self.plan.jobs[key].title), bar, Text(what, style="dim"))
        return Group(Text(f"jobs: {head}   {clock}"), ProgressBar(total=total, completed=finished, width=60), table)


def _stage_text(stage: Stage) -> str:
    return f"{stage.name} {stage.done}/{stage.total} {stage.unit}" if stage.total else stage.name


def summary(status: dict[str, Status]) -> dict[str, int]:
    """Return how many jobs are in each state, in words."""
    counts = Counter(status.values())
    return {
        "done": counts["done"],
        "running": counts["running"],
        "failed": counts["failed"] + counts["blocked"],
        "cached": counts["cached"],
        "to do": counts["waiting"],
    }


def make_view(plan: Plan, console: Console) -> PlainView:
    """Return the live panel for a terminal, the line for a notebook, plain lines otherwise."""
    if console.is_jupyter:
        return NotebookView(plan, console)
    return LiveView(plan, console) if console.is_terminal and sys.stdout.isatty() else PlainView(plan, console)
