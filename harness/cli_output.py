"""What commands print of a run that has ended: its tables, where its files are, and what failed."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from harness.errors import UserError
from harness.format import shorten, times

if TYPE_CHECKING:
    from harness.reporters import Table
    from harness.results import Run


def plain(text: str) -> Text:
    """Return a text that rich takes as it is, brackets and all."""
    return Text(text)


def tell_run(done: Run) -> None:
    """Print the tables of a run that has ended, and what failed; draw its accuracies, which takes seconds."""
    from harness import results

    if done.num_done:
        with contextlib.suppress(UserError):  # only the full data are done: there is nothing to draw
            results.figures(done, kinds=("accuracy",))
            results.write_page(done)
    print_run(done.folder)
    for line in error_lines(done.errors):
        Console(stderr=True, soft_wrap=True).print("[bold red]failed:[/]", plain(line))


def error_lines(errors: dict[str, str]) -> list[str]:
    """Return a line for each job that failed by itself, with the number of those that could not run without it."""
    causes = {title: re.fullmatch(r".*\(in (.+)\)", error) for title, error in errors.items()}
    waiting = Counter(cause[1] for cause in causes.values() if cause and cause[1] in errors)
    return [
        f"{title}: {shorten(error, 300)}"
        + (f" ({times(waiting[title], 'job')} could not run without it)" if waiting[title] else "")
        for title, error in errors.items()
        if not ((cause := causes[title]) and cause[1] in errors)
    ]


def stdout() -> Console:
    """Return the console of tables: a pipe or a file has no width of its own, and no table should be broken there."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=160)


def print_run(folder: Path) -> None:
    """Print the tables of a run and where its files are; of a long table only where it is."""
    from harness import results

    tables = results.report(folder)
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
    from harness import results

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"records  {folder / results.RECORDS}")
    console.print(f"tables   {folder / 'tables'} (Markdown, CSV, JSON)")
    console.print(f"images   {folder / 'images'} (a contact sheet of every distilled set)")
    if (folder / "figures").is_dir():
        console.print(f"figures  {folder / 'figures'} (PNG, PDF; `harness report --figures` draws more)")
    console.print(f"page     {folder / 'index.html'} (all of it in one file)")
