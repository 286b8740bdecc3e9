"""`harness cite`: BibTeX of what a paper with these runs should cite."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness.cli import options
from harness.core.run_folder import RunFolder
from harness.reporters.page.cite import cited
from harness.reporters.runs import find_run


def cite(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Names or folders of runs, or bundles; default: the newest.", metavar="[RUN]..."),
    ] = None,
    store: options.Store = "results",
) -> int:
    """Print BibTeX entries for the methods of a run, the data set of its suite, and this harness.

    Examples: `harness cite`, `harness cite RUN1 RUN2 > references.bib`. Of one method: `harness show method NAME`.
    """
    wanted: list[str | None] = [*runs] if runs else [None]
    sys.stdout.write(cited(RunFolder(find_run(run, store)).about for run in wanted))
    return 0
