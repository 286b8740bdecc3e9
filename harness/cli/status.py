"""`harness status`: how a run is, from another terminal or another machine."""

from __future__ import annotations

import datetime
import json
import shlex
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.cli import options
from harness.cli.consoles import stdout
from harness.core.errors import UserError
from harness.core.progress import BYTE
from harness.core.run_status import EndedTry, RunningJob, RunStatus, Use
from harness.core.text import byte_size, duration, shorten, without_controls
from harness.jobs.job import KINDS
from harness.reporters.watch import Watched, watch

EVERY_S = 2.0
"""Seconds between two drawings of `--watch`."""

_PLACE, _COMMAND = "in ", "log of a job: harness logs "
"""Begin lines that are not cut: they are copied."""

SHOWN_RUNNING, SHOWN_FAILED = 16, 4
"""Lines; the rest is counted. All of a screen fits 40 lines."""


def status(
    run: Annotated[str | None, typer.Argument(help="Name or folder of a run; default: the newest.")] = None,
    store: options.Store = "results",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watching: Annotated[
        bool, typer.Option("--watch", help="Update every two seconds until the run ends or Ctrl-C.")
    ] = False,
) -> int:
    """Show the progress of a run: running jobs, hosts and times; done, failed and remaining jobs; device utilisation.

    Works from any machine that can read the store, and for finished runs. If the driver gives no sign of life, the run
    has stopped: the same `harness run` command resumes it.

    Examples: `harness status`, `harness status RUN --watch`, `harness status RUN --json`.
    """
    if as_json and watching:
        raise UserError("--json prints once, --watch keeps updating; use one of them.")
    found = watch(run, store)
    if as_json:
        _print_json(found)
    elif watching:
        _go_on(found, run, store)
    else:
        _console().print(screen(found, time.time(), _console().width, _words(found, run, store)), soft_wrap=True)
    return 0


def _console() -> Console:
    return stdout(markup=False)


def _print_json(found: Watched) -> None:
    """Print status.json, and whether its driver is gone."""
    gone = found.is_gone(time.time())
    sys.stdout.write(json.dumps({"place": found.place, "gone": gone, **found.status.model_dump()}, indent=1) + "\n")


def _go_on(found: Watched, run: str | None, store: str) -> None:
    """Draw a run until it has ended; Ctrl-C stops the drawing and not the run."""
    console, name = _console(), run or found.status.run
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        try:
            while True:
                live.update(screen(found, time.time(), console.width, _words(found, run, store)), refresh=True)
                if found.has_ended(time.time()):
                    return
                time.sleep(EVERY_S)
                found = watch(name, store)
        except KeyboardInterrupt:
            return


def _words(found: Watched, run: str | None, store: str) -> str:
    """Return how the run is named in another command."""
    words = [run or found.status.run, *(() if store == "results" else ("--store", store))]
    return shlex.join(words)


def screen(found: Watched, now: float, width: int, words: str) -> Text:
    """Return what is shown of a run, in lines of at most `width` characters.

    Args:
        found: the run.
        now: seconds since 1970.
        width: of the terminal.
        words: name the run in another command.
    """
    works = found.status.state == "running" and not found.is_gone(now)
    lines = [*_head(found, now), "", *_figures(found.status, now, works)]
    if found.status.running and works:
        lines += ["", *_running(found.status, now, width)]
    if found.status.failures:
        lines += ["", *_failed(found.status, words)]
    clean = map(without_controls, lines)
    return Text("\n").join(
        Text(line if line.startswith((_PLACE, _COMMAND)) else _cut(line, max(40, width))) for line in clean
    )


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def _head(found: Watched, now: float) -> Iterator[str]:
    about = found.status
    yield f"run {about.run}: {_state(found, now)}"
    driver = f", driven by process {about.pid} on {about.host}" if about.host else ""
    yield f"suite {about.suite}{driver}"
    if found.is_gone(now):
        yield f"started {_clock(about.started, now)}; stopped unexpectedly: run the same command again to resume"
    elif about.ended is not None:
        yield (
            f"started {_clock(about.started, now)}, ended {_clock(about.ended, now)}, after "
            f"{_past(about.started, about.ended)}"
        )
        yield f"{_PLACE}{found.place}"
    else:
        left = f"; about {duration(about.left_s)} left" if about.left_s else ""
        sign = f"last sign of life {_past(about.seen, now)} ago" if found.speaks else "no sign of life yet"
        yield f"started {_clock(about.started, now)}, {_past(about.started, now)} ago; {sign}{left}"


def _state(found: Watched, now: float) -> str:
    about = found.status
    if found.is_gone(now):
        return f"not running: no sign of life since {_clock(about.seen, now)}, {_past(about.seen, now)} ago"
    if not found.speaks and about.state == "running":
        return "starting"
    return "all jobs have ended; its tables and page are written" if about.state == "finishing" else about.state


def _figures(about: RunStatus, now: float, works: bool) -> Iterator[str]:
    """Yield the lines of numbers: jobs, devices, losses."""
    counts = about.counts
    spared = counts.get("cached", 0) + counts.get("not needed", 0)
    words = {"running": "running" if works else "were running", "waiting": "to do", "failed": "failed"}
    words["blocked"] = "blocked"
    parts = [f"{counts.get('done', 0)} of {sum(counts.values()) - spared} done"]
    parts += [f"{counts[state]:,} {word}" for state, word in words.items() if counts.get(state)]
    if counts.get("cached"):
        parts.append(f"{counts['cached']:,} were in the store")
    if counts:
        yield f"jobs     {', '.join(parts)}"
    kinds = [
        f"{kind} {states.get('done', 0):,}/{number:,}"
        for kind in KINDS
        if (states := about.by_kind.get(kind))
        and (number := sum(states.values()) - states.get("cached", 0) - states.get("not needed", 0))
    ]
    if kinds:
        yield f"         {', '.join(kinds)}"
    hosts = len({(machine.host, machine.node) for machine in about.machines})
    for row, (name, use) in enumerate(about.use.items()):
        machines = f", on {hosts} machines" if hosts > 1 else ""
        yield f"{'' if row else 'devices':<8} {_used(name, use, works)}{machines}"
    if about.waits and works:
        yield f"waits    {about.waits}"
    if about.num_losses:
        tries = "1 attempt" if about.num_losses == 1 else f"{about.num_losses:,} attempts"
        last = f"; the last {_when(about.losses[-1], now)}: {about.losses[-1].why}" if about.losses else ""
        yield f"lost     {tries}, {duration(about.lost_s)}{last}"


def _used(name: str, use: Use, works: bool) -> str:
    in_use = f"{use.in_use:g} of {use.there:g} {name}s in use" if works else f"{use.there:g} {name}s"
    return in_use + ("" if use.share is None else f", {'' if works else 'worked '}{100 * use.share:.0f} % of the time")


def _running(about: RunStatus, now: float, width: int) -> Iterator[str]:
    shown = about.running[:SHOWN_RUNNING]
    rows = [(_title(job), _doing(job, now), job.host, _past(job.since or job.handed, now)) for job in shown]
    rows.insert(0, ("running", "doing", "on", "for"))
    sizes = [max(len(row[column]) for row in rows) for column in range(4)]
    sizes[1], sizes[2] = min(sizes[1], 26), min(sizes[2], 14)
    sizes[0] = min(sizes[0], max(16, width - 6 - sum(sizes[1:])))
    for row in rows:
        cells = [f"{_cut(cell, size):<{size}}" for cell, size in zip(row[:3], sizes[:3], strict=True)]
        yield "  ".join([*cells, f"{row[3]:>{sizes[3]}}"])
    more = about.more_running + len(about.running) - len(shown)
    if more:
        yield f"and {more:,} more"


def _title(job: RunningJob) -> str:
    return job.title if job.attempt == 1 else f"attempt {job.attempt}: {job.title}"


def _doing(job: RunningJob, now: float) -> str:
    if job.quiet_s is not None:
        return f"no sign for {_past(job.seen or job.handed, now)}"
    if job.since is None:
        return "waits for a worker"
    if not job.total:
        return job.stage or "starting"
    if job.unit == BYTE:
        return f"{job.stage} {byte_size(job.done)}/{byte_size(job.total)}"
    return f"{job.stage} {job.done}/{job.total} {job.unit}".rstrip()


def _failed(about: RunStatus, words: str) -> Iterator[str]:
    yield "failed"
    for one in about.failures[-SHOWN_FAILED:]:
        yield f"{one.title}: {shorten(one.why, 300)}"
    yield f"{_COMMAND}{words} {shlex.quote(about.failures[-1].title)}"


def _when(one: EndedTry, now: float) -> str:
    return f"{_past(one.at, now)} ago{f' on {one.host}' if one.host else ''}"


def _past(since: float, now: float) -> str:
    """Return how long ago, in whole seconds where it is short."""
    seconds = max(0.0, now - since)
    return f"{seconds:.0f} s" if seconds < 59.5 else duration(seconds)


def _clock(at: float, now: float) -> str:
    """Return the time of the day, with the date where it is another one."""
    when, today = (datetime.datetime.fromtimestamp(t).astimezone() for t in (at, now))
    return f"{when:%H:%M:%S}" if when.date() == today.date() else f"{when:%Y-%m-%d %H:%M}"
