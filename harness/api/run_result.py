"""What `harness.run` returns: a run that has ended, with its records, tables, figures and page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.report import figures, report
from harness.core.run_folder import RunFolder
from harness.reporters import runs

if TYPE_CHECKING:
    import pandas as pd

    from harness.reporters.tables.table import Table


class Run(runs.Run):
    """A finished run. It reads the files in `folder`; nothing is kept in memory.

    Example:
        >>> import harness
        >>> done = harness.run(methods="random_real", suite="digits", ipc=10)  # doctest: +SKIP
        >>> done.leaderboard()  # doctest: +SKIP
        >>> done.records[["method", "student", "top1_last"]]  # doctest: +SKIP
    """

    @property
    def records(self) -> pd.DataFrame:
        """One row per method, IPC, student and pair of seeds, as `harness.load_results` returns them."""
        return runs.load_results(self)

    @property
    def page(self) -> Path:
        """The page of the run, one HTML file that loads nothing."""
        return RunFolder(self.folder).page

    def leaderboard(self) -> Table:
        """Return the leaderboard; `.frame` has its numbers.

        Raises:
            UserError: the run was stopped before it had records.
        """
        return self.tables(layout="leaderboard")["leaderboard"]

    def tables(self, *, layout: str | None = None, published: bool = False) -> dict[str, Table]:
        """Return the tables by name; the arguments are those of `harness.report`."""
        return report(self, layout=layout, published=published)

    def figures(
        self,
        *,
        kinds: Sequence[str] = ("accuracy", "curves"),
        bars: str | None = None,
        metric: str = "best",
        paper: str | None = None,
        to: str | Path | None = None,
    ) -> dict[str, tuple[Path, ...]]:
        """Draw the figures and return name -> files; the arguments are those of `harness.figures`."""
        return figures(self, kinds=kinds, bars=bars, metric=metric, paper=paper, to=to)
