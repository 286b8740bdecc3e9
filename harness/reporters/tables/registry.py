"""The reporters by name: what makes tables from records. Importing this imports neither pandas nor rich."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserError
from harness.core.registry import Registry
from harness.reporters.tables.accuracies import metric_of, said
from harness.reporters.tables.choice import Choice
from harness.reporters.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd


Reporter = Callable[["pd.DataFrame"], Any]
"""From records (one row per suite, method, IPC, student, protocol and seeds) to tables or plain data frames, one or a list."""


_BUILT_IN = {
    "leaderboard": "harness.reporters.tables.leaderboard:leaderboard",
    "paper": "harness.reporters.tables.paper:paper",
    "metrics": "harness.reporters.tables.class_metrics:class_metrics",
    "class_accuracy": "harness.reporters.tables.class_accuracy:class_accuracy",
    "bytes": "harness.reporters.tables.equal_bytes:equal_bytes",
    "scores": "harness.reporters.tables.scores:scores",
    "timing": "harness.reporters.tables.timing:timing",
    "statistics": "harness.reporters.tables.statistics:statistics",
    "comparisons": "harness.reporters.tables.statistics:comparisons",
    "published": "harness.reporters.tables.published_comparison:published",
}


_ON_DEMAND = {"statistics", "comparisons", "published"}
"""Reporters that only those get who name them."""


reporters: Registry[Reporter] = Registry("reporter", _BUILT_IN)


def register_reporter(name: str) -> Callable[[Reporter], Reporter]:
    """Return a decorator that makes a function from records to tables known by name."""
    return reporters.register(name)


_RANKED = {"leaderboard", "statistics", "comparisons"}
"""Reporters that take `rank_by`; the paper table shows `best`, as papers do."""


def build_reports(
    records: pd.DataFrame,
    names: Sequence[str] | None = None,
    *,
    rank_by: str = "last",
    metric: str = "best",
    choice: Choice = Choice(),  # noqa: B008
) -> dict[str, Table]:
    """Return the tables of the named reporters by file stem: the reporter's name, then NAME_2, NAME_3, ...

    Args:
        records: as `harness.load_results` returns them.
        names: reporters, in the order wanted; None: the built-in ones as they stand here, then others by name; not
            those on demand (statistics, comparisons, published).
        rank_by: accuracy that the leaderboard ranks and tests, and that statistics and comparisons show: `last`, of the
            final model, or `best` evaluation.
        metric: accuracy that the paper table shows: `best`, as papers do, or `last`.
        choice: methods to show, their names and order.

    Raises:
        UserError: there are no records, a column is missing, or a reporter, an accuracy or a chosen method is unknown.
    """
    if not len(records):
        raise UserError("no records to report on: the run has no row yet, neither done nor failed nor skipped")
    every = [*_BUILT_IN, *(n for n in reporters.names() if n not in _BUILT_IN)]
    chosen = names if names is not None else [name for name in every if name not in _ON_DEMAND]
    records = choice.named(records) if choice else records
    return {
        name if number == 1 else f"{name}_{number}": table
        for name in chosen
        for number, table in enumerate(_tables(name, records, rank_by, metric, choice), start=1)
    }


def _tables(name: str, records: pd.DataFrame, rank_by: str, metric: str, choice: Choice) -> list[Table]:
    """Return what a reporter makes; only built-in ones know `rank_by` and `metric`, so that those of plugins stay simple."""
    make: Callable[..., Any] = reporters.get(name)
    options = {"rank_by": rank_by} if name in _RANKED else {"metric": metric_of(metric)} if name == "paper" else {}
    if name == "scores":  # they are about the random subset and the full data, which may not be chosen
        return [_of_its_split(replace(table, frame=choice.chosen(table.frame))) for table in make(records)]
    made = make(choice.chosen(records), **options)
    return [
        _of_its_split(_table(name, one, type(records)))
        for one in ([made] if isinstance(made, Table | type(records)) else made)
    ]


def _table(name: str, made: Any, frame: type[pd.DataFrame]) -> Table:
    """Return a table as it is, and a plain data frame as a table of all its columns."""
    if isinstance(made, Table):
        return made
    if isinstance(made, frame):
        return Table(name.replace("_", " ").capitalize(), "", made)
    raise UserError(f"reporter {name!r} returned {type(made).__name__}; expected tables or pandas data frames")


def _of_its_split(table: Table) -> Table:
    """Return a table whose caption says on which images its accuracies were measured, by its frame's column `source`."""
    sources = list(table.frame["source"].unique()) if "source" in table.frame else []
    if len(sources) != 1:
        return table
    head, found, rest = table.caption.partition(sources[0])  # the source itself names the test split
    caption = head + found + said(rest, sources[0]) if found else said(head, sources[0])
    return replace(table, caption=caption, brief=said(table.brief, sources[0]))
