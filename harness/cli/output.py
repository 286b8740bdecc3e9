"""What commands print of a run that has ended: its tables, where its files are, and what failed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from harness.api import report
from harness.api.groups import GroupRun
from harness.cli.consoles import message, plain, print_line, stderr, stdout
from harness.core.run_folder import RunFolder
from harness.core.text import shorten
from harness.reporters.tables.screen import is_leaderboard, leaderboard_screen

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from harness.reporters import Table
    from harness.reporters.runs import Run


def print_summary(done: Run) -> None:
    """Print the leaderboard of a run that has ended, where the rest is, and what failed."""
    tables = report.report(done.folder)
    print_screen(tables)
    print_paths(done.folder)
    folder, failed = RunFolder(done.folder), list(zip(done.failed, done.failures(), strict=True))
    for title, line in failed[:SHOWN_FAILURES]:
        message("failed:", line)
        if (trace := folder.error_file(title, ".txt")).is_file():
            stderr().print(plain(f"  traceback: {trace}"), soft_wrap=True)
    if len(failed) > SHOWN_FAILURES:
        message("failed:", f"and {len(failed) - SHOWN_FAILURES:,} more; see {folder.errors}")


SHOWN_FAILURES = 10


def print_screen(tables: dict[str, Table], *, every: bool = False, captions: bool = False) -> None:
    """Print the leaderboards of a run, short; or all tables, or captions too.

    Args:
        tables: by name, as `harness.report` returns them.
        every: print every table whole, but for those that are too long for a terminal.
        captions: print the caption of each table below it.
    """
    boards = {name: table for name, table in tables.items() if is_leaderboard(table)}
    if every or not boards:
        print_tables({name: table for name, table in tables.items() if not table.long}, captions=captions)
        return
    for name, table in boards.items():
        print_tables({name: leaderboard_screen(table)}, captions=captions)


def print_tables(tables: dict[str, Table], *, captions: bool = False) -> None:
    """Print tables, one below the other, none wider than the console."""
    for table in tables.values():
        out = stdout()
        out.print(table.to_rich(out.width, captions=captions))
        out.print()


def print_paths(folder: Path, drawn: Iterable[str] = ()) -> None:
    """Print where the files of a run are, which figures were drawn now, and which command shows more."""
    run, shown = RunFolder(folder), list(drawn)
    names = [path.name for path in (run.tables, run.images, run.figures, run.errors) if path.is_dir()]
    lines = [f"page     {run.page}"] if run.page.is_file() else []
    lines.append(f"files    {folder}")
    lines.append(f"         {', '.join([run.records_file.name, *(f'{name}/' for name in names)])}")
    lines += [f"drawn    {', '.join(shown)}"] if shown else []
    for line in lines:
        print_line(line)
    print_more([str(folder) if folder != Path("results", "runs", run.name) else run.name])


def print_more(runs: list[str]) -> None:
    """Print which command shows the rest of one or several runs."""
    print_line(f"more     harness report {shlex.join(runs)} --all")
    print_line("         --all: every table; --captions: what the numbers are")


def print_not_used(folder: Path, **named: Any) -> None:
    """Say in one line what a run names that is not used, because the command line does not name it."""
    if found := RunFolder(folder).not_used(**named):
        message(
            "note:",
            "the run names these, but they are used only if you name them on the command line: "
            f"{shorten(' '.join(found), 300)}",
        )


def print_not_uploaded(folder: Path, uploaded: bool) -> None:
    """Say that what was written lies on this machine only, where that is so."""
    if not uploaded:
        message("note:", f"the run's files are in {folder} only: they could not be copied to the store.")


def print_drawn(folder: Path, names: Iterable[str]) -> None:
    """Print where figures are, and which."""
    print_line(f"figures  {RunFolder(folder).figures} ({', '.join(names)})")


def print_figures(drawn: Mapping[str, tuple[Path, ...]]) -> None:
    """Print which figures were drawn, and in which folder their files are."""
    files = [path for paths in drawn.values() for path in paths]
    endings = ", ".join(dict.fromkeys(path.suffix for path in files))
    print_line(f"figures  {files[0].parent} ({endings})")
    print_line(f"         {', '.join(drawn)}")


def group_summary(group: GroupRun) -> RichTable:
    """Return a line per suite: how it ended, how much was run, and where its results are."""
    from rich.table import Table as RichTable

    table = RichTable(title=plain(f"Summary: {group.name}"), title_justify="left", box=None, pad_edge=False)
    for column in ("suite", "status", "records", "jobs run", "failed", "run, or why it did not run"):
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
