"""What commands print of a run that has ended: its tables, where its files are, and what failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from harness.api import report
from harness.api.groups import GroupRun
from harness.core.run_folder import RunFolder
from harness.core.text import shorten, without_controls

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from harness.reporters import Table
    from harness.reporters.runs import Run


def plain(text: str) -> Text:
    """Return a text that rich takes as it is, brackets and all, and a terminal shows and does not obey."""
    return Text(without_controls(text))


def print_summary(done: Run) -> None:
    """Print the tables of a run that has ended, and what failed."""
    print_run(done.folder)
    for line in done.failures():
        Console(stderr=True, soft_wrap=True).print("[bold red]failed:[/]", plain(line))


def stdout() -> Console:
    """Return the console of tables: a pipe or a file has no width of its own, and no table should be broken there."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=160)


def print_run(folder: Path) -> None:
    """Print the tables of a run and where its files are; of a long table only where it is."""
    tables = report.report(folder)
    print_tables({name: table for name, table in tables.items() if not table.long})
    for name, table in tables.items():
        if table.long:
            path = RunFolder(folder).tables / f"{name}.md"
            stdout().print(plain(f"{table.title}: see {path}\n"), soft_wrap=True, highlight=False)
    print_paths(folder)


def print_tables(tables: dict[str, Table]) -> None:
    """Print tables, one below the other."""
    console = stdout()
    for table in tables.values():
        console.print(table.to_rich(console.width), crop=False)
        console.print()


def print_paths(folder: Path) -> None:
    """Print where the files of a run are."""
    run, console = RunFolder(folder), Console(soft_wrap=True, highlight=False)
    lines = [
        f"records  {run.records_file}",
        f"tables   {run.tables} (Markdown, CSV, JSON)",
        f"images   {run.images} (a contact sheet of every distilled set)",
    ]
    if run.figures.is_dir():
        lines.append(f"figures  {run.figures} (PNG, PDF; `harness report --figures` draws more)")
    for line in [*lines, f"page     {run.page} (all of it in one file)"]:
        console.print(plain(line))


def print_not_used(folder: Path, **named: Any) -> None:
    """Say in one line what a run names that is not used, because the command line does not name it."""
    if found := RunFolder(folder).not_used(**named):
        line = f"the run names what is not used unless you name it too: {shorten(' '.join(found), 300)}"
        Console(stderr=True, soft_wrap=True, highlight=False).print("[bold]note:[/]", plain(line))


def print_not_uploaded(folder: Path, uploaded: bool) -> None:
    """Say that what was written lies on this machine only, where that is so."""
    if not uploaded:
        line = f"{folder} holds what was written; it could not be copied to the store, where others look for it."
        Console(stderr=True, soft_wrap=True, highlight=False).print("[bold]note:[/]", plain(line))


def print_drawn(folder: Path, names: Iterable[str]) -> None:
    """Print where figures are, and which."""
    stdout().print(plain(f"figures  {RunFolder(folder).figures}: {', '.join(names)}"), soft_wrap=True, highlight=False)


def group_summary(group: GroupRun) -> RichTable:
    """Return a line per suite: how it ended, how much was run, and where its results are."""
    from rich.table import Table as RichTable

    table = RichTable(title=plain(f"Summary: {group.name}"), title_justify="left", box=None, pad_edge=False)
    for column in ("suite", "status", "records", "jobs run", "failed", "run, or why there is none"):
        table.add_column(column, justify="right" if column in ("records", "jobs run", "failed") else "left")
    for suite in group.suites:
        run = suite.run
        if run is None:
            table.add_row(suite.suite, "not run", "0", "0", "0", plain(shorten(suite.error, 300)))
        else:
            jobs = [str(run.executed.get(state, 0)) for state in ("done", "failed")]
            status = "done" if run.exit_code == 0 else "failed"
            table.add_row(suite.suite, status, str(run.num_done), *jobs, Text(run.name))
    return table
