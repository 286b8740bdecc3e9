"""What the page adds to a table: bars with intervals, the best of a column, and of which IPC and student each part is.

In: a table for the template, records. Out: the same table with more on it. Only what stands in the table gets a bar.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from harness.core.text import known
from harness.reporters.figures.points import interval
from harness.reporters.page.tables import Bar, Cell, Column, PageTable
from harness.reporters.tables.accuracies import Metric
from harness.reporters.tables.prepare import prepare, scopes, students

_WORDS: dict[Metric, str] = {"top1_last": "last", "top1_best": "best"}
"""What follows a student's name in the header of a column of the leaderboard."""


@dataclass(frozen=True)
class Mean:
    """Mean of a method on one student at one IPC, with the ends of its 95 % interval; None where one run tells nothing."""

    value: float
    low: float | None
    high: float | None


Means = dict[tuple[str, str, str], Mean]
"""(method as the tables call it, IPC as a text, student) -> mean."""


def scope_means(records: pd.DataFrame, metric: Metric) -> Iterator[Means]:
    """Yield the means of each scope, in the order of the leaderboards."""
    for _, rows in scopes(prepare(records)):
        done = rows[(rows["status"] == "done") & rows[metric].notna()]
        means = {}
        for place, group in done.groupby(["label", "ipc", "student"], sort=False, dropna=False):
            label, ipc, student = place
            sets = group["distillation_seed"].to_numpy(dtype=float, na_value=-1)
            found = interval(group[metric].to_numpy(dtype=float), sets, "ci95")
            ends = (found.low, found.high) if known(found.low) else (None, None)
            means[str(label), str(ipc) if known(ipc) else "all", str(student)] = Mean(found.mean, *ends)
        yield means


def with_places(table: PageTable, names: list[str]) -> PageTable:
    """Say of which IPC and student each row and column is, for the tabs.

    Args:
        table: any table of results.
        names: the students.
    """
    columns = [replace(column, student=_student(column.name, names)) for column in table.columns]
    by_name = {column.name: number for number, column in enumerate(columns)}

    def texts(column: str) -> list[str]:
        return [row[by_name[column]].text if column in by_name else "" for row in table.rows]

    ipcs = [text if text.isdecimal() else "" for text in texts("IPC")]
    of_students = [_student(text, names) for text in texts("Test model")]
    return replace(table, columns=columns, places=list(zip(ipcs, of_students, strict=True)))


def with_bars(table: PageTable, means: Means, metric: Metric) -> PageTable:
    """Add bars to the columns of one accuracy, and mark the best of each IPC in every column of accuracies.

    Args:
        table: a leaderboard, after `with_places`.
        means: of its scope.
        metric: accuracy that the leaderboard ranks.
    """
    names = [column.name for column in table.columns]
    if not means or not {"Method", "IPC"} <= set(names):
        return table
    method, ipc, top = names.index("Method"), names.index("IPC"), _top(means)
    rows = [
        [
            _barred(cell, column, means.get((row[method].text, row[ipc].text, column.student)), metric, top)
            for cell, column in zip(row, table.columns, strict=True)
        ]
        for row in table.rows
    ]
    stressed = any(cell.stress for row in rows for cell in row)
    table = replace(table, rows=rows if stressed else _with_best(rows, table.columns, ipc))
    spread = "; line: 95 % interval of the mean" if any(mean.low is not None for mean in means.values()) else ""
    best = "" if stressed else " Bold: highest mean for each IPC and student (no significance test)."
    return replace(table, legend=f"Bars: 0 to {top} %{spread}.{best}")


def _barred(cell: Cell, column: Column, mean: Mean | None, metric: Metric, top: int) -> Cell:
    if mean is None or not _is_of(column, _WORDS[metric]) or cell.key is None:
        return cell
    ends = [None if end is None else round(min(max(end, 0.0), top) / top * 100, 1) for end in (mean.low, mean.high)]
    return replace(cell, bar=Bar(round(mean.value / top * 100, 1), *ends))


def _with_best(rows: list[list[Cell]], columns: list[Column], ipc: int) -> list[list[Cell]]:
    """Return the rows with the highest mean of each IPC bold, where methods compete; the full data, IPC "all", do not."""
    measured = [i for i, column in enumerate(columns) if any(_is_of(column, word) for word in _WORDS.values())]
    found: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        for i in measured if row[ipc].text.isdecimal() else ():
            if (key := row[i].key) is not None:
                found.setdefault((row[ipc].text, i), []).append(key)
    best = {place: max(keys) for place, keys in found.items() if len(keys) > 1}
    return [
        [
            replace(cell, stress="bold") if cell.key is not None and best.get((row[ipc].text, i)) == cell.key else cell
            for i, cell in enumerate(row)
        ]
        for row in rows
    ]


def all_students(records: pd.DataFrame) -> list[str]:
    """Return the students of records, in the order of the tables."""
    return students(prepare(records))


def _top(means: Means) -> int:
    """Return where bars end: the highest mean or interval, rounded up to tens, at most 100."""
    highest = max(max(mean.value, mean.high or 0.0) for mean in means.values())
    return min(100, max(10, 10 * math.ceil(highest / 10)))


def _is_of(column: Column, word: str) -> bool:
    return bool(column.student) and column.name.endswith(f" {word}")


def _student(text: str, names: list[str]) -> str:
    """Return the student that a text names, alone or before "last" or "best", however it is written; "" for none."""
    first, _, word = text.rpartition(" ")
    wanted = _plain(first if word in _WORDS.values() else text)
    return next((name for name in names if wanted and _plain(name) == wanted), "")


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()
