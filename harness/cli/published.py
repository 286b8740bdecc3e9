"""`harness published SUITE`: the numbers that papers state for a suite, without a run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness.cli.output import print_tables
from harness.reporters.tables.render import check_format, render


def published(
    suite: Annotated[str, typer.Argument(help="Name of a suite; it needs no data.")],
    protocol: Annotated[str | None, typer.Option(help="Rows of this protocol only, such as `idc` or `rded`.")] = None,
    ipc: Annotated[int | None, typer.Option(min=1, help="Rows of this number of images per class only.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Print as latex, md, csv or html, and nothing else.")
    ] = None,
) -> int:
    """Show what papers state for a suite: a table for each source and protocol. Nothing is run.

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
