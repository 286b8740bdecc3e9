"""`harness trace`: a run's jobs by machine and device, for a viewer of traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.consoles import plain, stdout
from harness.core.errors import UserError
from harness.core.io import write_text_atomically, writing
from harness.core.run_folder import RunFolder
from harness.core.text import duration, times
from harness.reporters.runs import find_run
from harness.reporters.timeline import read_timeline
from harness.reporters.trace import chrome_trace
from harness.reporters.watch import watch


def trace(
    run: Annotated[str | None, typer.Argument(help="Name or folder of a run; default: the newest.")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="File to write; default: trace.json in the run's folder.")
    ] = None,
    store: options.Store = "results",
) -> int:
    """Write a timeline of all jobs as a trace file; open it in ui.perfetto.dev or chrome://tracing.

    A process is a machine, a row one job at a time on one of its devices; lost tries and waits for a worker are shown.

    Examples: `harness trace`, `harness trace RUN --to trace.json`.
    """
    folder = RunFolder(find_run(run or watch(None, store).status.run, store))
    timeline = read_timeline(folder.events())
    if not timeline.slices and not timeline.waits:
        raise UserError(
            f"run {folder.name} has no jobs to show: all results were in the store, or the run is from before events "
            "were recorded."
        )
    path = to or folder.path / "trace.json"
    with writing(path.parent):
        write_text_atomically(path, json.dumps(chrome_trace(timeline, folder.name)))
    lost = sum(one.status == "lost" for one in timeline.slices)
    jobs = times(len({one.key for one in timeline.slices}), "job")
    tries = f"{jobs}, {lost:,} lost attempts" if lost > 1 else f"{jobs}, 1 lost attempt" if lost else jobs
    stdout(soft_wrap=True).print(
        plain(
            f"trace    {path} ({tries}, {duration(timeline.seconds)}); open it in ui.perfetto.dev or chrome://tracing"
        )
    )
    return 0
