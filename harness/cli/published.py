"""`harness published SUITE`: the numbers that papers state for a suite, without a run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness.cli.output import print_tables
from harness.reporters.tables.render import check_format, render


def published(
    suite: Annotated[str, typer.Argument(help="Name of a suite; its data are not needed.")],
    protocol: Annotated[str | None, typer.Option(help="Only rows of this protocol, e.g. `idc` or `rded`.")] = None,
    ipc: Annotated[int | None, typer.Option(min=1, help="Only rows with this number of images per class.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Print only the table, as latex, md, csv or html.")
    ] = None,
) -> int:
    """Show the numbers that papers report for a suite: one table per source and protocol. Nothing is run.

    Examples: `harness published imagewoof`, `harness published imagenet1k --protocol rded --ipc 10 --format latex`.
    """
    from harness.reporters.tables.published import report_published  # it imports pandas

    if form is not None:
        check_format(form)
    tables = report_published(suite, protocol=protocol, ipc=ipc)
    if form is not None:
        sys.stdout.write(render(tables, form))
    else:
        print_tables(tables)
    return 0
