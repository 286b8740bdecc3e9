"""What commands print of a run that has ended: its tables, where its files are, and what failed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from harness.api import report
from harness.api.groups import GroupRun
from harness.core.text import shorten
from harness.reporters import runs

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from harness.reporters import Table
    from harness.reporters.runs import Run


def plain(text: str) -> Text:
    """Return a text that rich takes as it is, brackets and all."""
    return Text(text)


def tell_run(done: Run) -> None:
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
            stdout().print(f"{table.title}: see {folder / 'tables' / name}.md\n", soft_wrap=True, highlight=False)
    print_paths(folder)


def print_tables(tables: dict[str, Table]) -> None:
    """Print tables, one below the other."""
    console = stdout()
    for table in tables.values():
        console.print(table.to_rich(console.width), crop=False)
        console.print()


def print_paths(folder: Path) -> None:
    """Print where the files of a run are."""

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"records  {folder / runs.RECORDS}")
    console.print(f"tables   {folder / 'tables'} (Markdown, CSV, JSON)")
    console.print(f"images   {folder / 'images'} (a contact sheet of every distilled set)")
    if (folder / "figures").is_dir():
        console.print(f"figures  {folder / 'figures'} (PNG, PDF; `harness report --figures` draws more)")
    console.print(f"page     {folder / 'index.html'} (all of it in one file)")


def group_summary(group: GroupRun) -> RichTable:
    """Return a line per suite: how it ended, how much was run, and where its results are."""
    from rich.table import Table as RichTable

    table = RichTable(title=Text(f"Summary: {group.name}"), title_justify="left", box=None, pad_edge=False)
    for column in ("suite", "status", "records", "jobs run", "failed", "run, or why there is none"):
        table.add_column(column, justify="right" if column in ("records", "jobs run", "failed") else "left")
    for suite in group.suites:
        run = suite.run
        if run is None:
            table.add_row(suite.suite, "not run", "0", "0", "0", Text(shorten(suite.error, 300)))
        else:
            jobs = [str(run.executed.get(state, 0)) for state in ("done", "failed")]
            status = "done" if run.exit_code == 0 else "failed"
            table.add_row(suite.suite, status, str(run.num_done), *jobs, Text(run.name))
    return table
