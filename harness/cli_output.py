"""What commands print of a run that has ended: its tables, where its files are, and what failed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from harness.reporters import Table
    from harness.results import Run


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
