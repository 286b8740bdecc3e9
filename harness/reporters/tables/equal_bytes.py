"""Accuracy at equal bytes: what each method reaches with a set that fits into the same memory.

In: records. Out: one table per suite, version, source and protocol; a row per budget and method. A set of images takes
the bytes of its files, a generative set those of what it stores, whatever number of images is drawn from it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.core.text import DASH, byte_size, known
from harness.reporters.tables.columns import Cell, Column, ipc_column, mean_column, runs_column, word_column
from harness.reporters.tables.prepare import Scope, outcome, prepare, scopes, seeds_text, spread, students
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table
from harness.students.spec import titles_of

CAPTION = (
    "Each method is shown at its largest IPC of this run whose sets all fit into the budget; the choice is by size, not by "
    "accuracy. Kept: bytes that must be kept, including stored soft labels, mean over distilled sets. A budget given as IPC "
    "is the uncompressed size of that many images per class. Generators and teachers are not counted: they serve any number "
    "of sets. Bold: highest mean within a budget (no significance test)."
)


MEANING = "best evaluation during training, chosen on the test split"


_EXTRAS = {"Labels": "label_bytes", "Generator": "shared_bytes", "Teacher": "teacher_bytes"}
"""Columns shown only where a row knows them: stored soft labels, which are kept, and what is needed besides."""


@register_reporter("bytes")
def equal_bytes(records: pd.DataFrame) -> list[Table]:
    """Return one table per scope; none for a scope whose records know no budget.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    frame = prepare(records)
    frame = frame.assign(kept_bytes=frame["storage_bytes"] + frame["label_bytes"].fillna(0))
    tables = [_table(scope, rows[~rows["reference_row"]]) for scope, rows in scopes(frame)]
    return [table for table in tables if table is not None]


def _table(scope: Scope, rows: pd.DataFrame) -> Table | None:
    budgets = sorted(rows["budget_bytes"].dropna().unique())
    if not budgets:
        return None
    names = students(rows)
    methods = [own for _, own in rows[list(_READ)].groupby("label", sort=False)]
    lines = [line for budget in budgets for line in sorted((_line(own, names, budget) for own in methods), key=_order)]
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    for column in ("budget_bytes", "ipc", *_COSTS):
        frame[column] = frame[column].astype("Float64").round().astype("Int64")
    extras = [name for name, column in _EXTRAS.items() if frame[column].notna().any()]
    seeds = seeds_text(rows)
    brief = f"Top-1 test accuracy in percent at equal memory {scope.place}: {MEANING}, mean ± standard deviation over {seeds}."
    caption = (
        f"{scope.caption} Top-1 test accuracy in percent ({MEANING}), mean ± standard deviation over {seeds}. {CAPTION}"
    )
    columns = _columns(names, extras)
    bold = frozenset((i, s) for s in names for i in _best(lines, s))
    return Table(
        f"Accuracy at equal bytes: {scope.title}", caption, frame, columns, bold=bold, aside=("n",), brief=brief
    )


def _line(own: pd.DataFrame, names: list[str], budget: float) -> dict[str, Any]:
    """Return the plain values of one method under one budget."""
    largest = _largest(own)
    fits = own["ipc"].isin(largest.index[largest <= budget])
    fitting = own[own["done"] & fits]
    ipc = fitting["ipc"].max() if len(fitting) else pd.NA
    chosen = fitting[fitting["ipc"] == ipc] if len(fitting) else fitting
    line: dict[str, Any] = {
        "budget_bytes": budget,
        "method": own.iloc[0]["method"],
        "method_title": own.iloc[0]["label"],
        "ipc": ipc,
        **{name: chosen[name].mean() for name in _COSTS},
    }
    for student in names:
        mean, std, num = spread(chosen[chosen["student"] == student], "top1_best")
        line |= {f"{student}_mean_percent": mean, f"{student}_std_percent": std, f"{student}_num_runs": num}
    line["mean_percent"] = float(pd.Series([line[f"{s}_mean_percent"] for s in names], dtype=float).mean())
    return {**line, "status": "done" if len(chosen) else _reason(own)}


_COSTS = ("kept_bytes", "label_bytes", "shared_bytes", "teacher_bytes")


_READ = ("method", "label", "ipc", "student", "status", "done", "error", "top1_best", *_COSTS)
"""Columns that a line is made of; groups of few columns are cut out faster."""


def _largest(own: pd.DataFrame) -> pd.Series[float]:
    """Return the bytes of a method's largest set by IPC: sets of other seeds are not of equal size."""
    return own.groupby("ipc")["kept_bytes"].max().dropna()


def _reason(own: pd.DataFrame) -> str:
    """Say why a method has no number under a budget."""
    done = own[own["done"]]
    largest = _largest(own)
    largest = largest[largest.index.isin(done["ipc"])]
    if not len(largest):
        ended = outcome(own)
        return f"{ended.status}: {ended.error}" if ended.error else ended.status
    return f"the smallest sets, IPC {largest.idxmin()}, take up to {byte_size(largest.min())}"


def _order(line: dict[str, Any]) -> tuple[bool, float]:
    """Best first, what has no number last."""
    mean = line["mean_percent"]
    return (not known(mean), -mean if known(mean) else 0.0)


def _best(lines: list[dict[str, Any]], student: str) -> list[int]:
    """Return the rows that are the highest of their budget, as displayed; none where nothing is compared."""
    means: dict[float, dict[int, float]] = {}
    for i, line in enumerate(lines):
        if known(mean := line[f"{student}_mean_percent"]):
            means.setdefault(line["budget_bytes"], {})[i] = round(mean, 1)
    competing = [own for own in means.values() if len(own) > 1]
    return [i for own in competing for i, mean in own.items() if mean == max(own.values())]


def _columns(names: list[str], extras: list[str]) -> tuple[Column, ...]:
    sizes = {"Kept": "kept_bytes", **{name: _EXTRAS[name] for name in extras}}
    return (
        Column("Budget", "budget_bytes", byte_size),
        word_column("Method", "method_title"),
        ipc_column(),
        *(Column(name, column, byte_size) for name, column in sizes.items()),
        *(
            mean_column(s, f"{s}_mean_percent", f"{s}_std_percent", paper=title)
            for s, title in titles_of(names).items()
        ),
        runs_column([f"{s}_num_runs" for s in names]),
        Column("Status", "status", _status, words=True),
    )


def _status(status: str) -> Cell:
    """Return how a method ended under a budget: a reason stands behind a colon."""
    ended, _, reason = status.partition(": ")
    return Cell(ended or DASH, reason=reason)
