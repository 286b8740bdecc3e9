"""The table as papers print it: a row per IPC and test model, a column per method, the full data last.

In: records. Out: one table per suite, version, source and protocol. Laid out as Table 1 of Minimax Diffusion. What is
best or second is decided by tests (harness/reporters/tables/compare.py), never by digits.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.core.text import DAGGER, DASH, known, mean_std, times
from harness.reporters.tables.compare import Contest, compare, coverage, seed_scores, tests_text
from harness.reporters.tables.prepare import (
    Metric,
    RowIndex,
    Scope,
    best_is_last,
    num_seeds,
    outcome,
    prepare,
    scopes,
    spread,
    students,
    summary,
)
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table

Line = tuple[Any, str]
"""IPC and test model of a row."""


MEANING = {
    "top1_best": "best evaluation during training, chosen on the test split, as papers report",
    "top1_last": "final model",
}


_FINAL = "final model; no evaluation was better"


@register_reporter("paper")
def paper(records: pd.DataFrame, *, metric: Metric = "top1_best") -> list[Table]:
    """Return one paper-style table per scope.

    Args:
        records: as `harness.load_results` returns them.
        metric: which of the two accuracies to show.

    Raises:
        ValueError: another metric.
        UserError: there are no records, or a column is missing.
    """
    if metric not in MEANING:
        raise ValueError(f"metric {metric!r} is not known; use {' or '.join(MEANING)}")
    return [_table(scope, rows, metric) for scope, rows in scopes(prepare(records))]


def _table(scope: Scope, rows: pd.DataFrame, metric: Metric) -> Table:
    own, reference = rows[~rows["reference_row"]], rows[rows["reference_row"]]
    labels, full = list(dict.fromkeys(own["label"])), list(dict.fromkeys(reference["label"]))
    lines = [(ipc, student) for ipc in sorted(own["ipc"].dropna().unique()) for student in students(rows)]
    if not lines:
        lines = [(pd.NA, student) for student in students(rows)]
    contests = paper_contests(rows, lines, metric)
    index = RowIndex(rows, ("status", "done", "error", "distillation_seed", metric))
    cells = {
        (line, label): _cell(index, line, label, metric, contests[line], is_full=label in full)
        for line in lines
        for label in [*labels, *full]
    }
    display = pd.DataFrame(
        [
            {"IPC": _ipc(ipc), "Test model": student}
            | {label: _text(cells[(ipc, student), label]) for label in [*labels, *full]}
            for ipc, student in lines
        ]
    )
    frame = pd.DataFrame([{**scope.columns(), **cell} for cell in cells.values()]).drop_duplicates(ignore_index=True)
    if len(frame):
        frame["ipc"], frame["rank"] = frame["ipc"].astype("Int64"), frame["rank"].astype("Int64")
    return Table(
        f"Paper table: {scope.title}",
        _caption(scope, rows, metric, contests),
        frame,
        display,
        (*_notes(rows), *_untested(contests)),
        bold=_group(contests, lines, 0),
        underline=_group(contests, lines, 1),
        group="IPC",
    )


def paper_contests(rows: pd.DataFrame, lines: list[Line], metric: str) -> dict[Any, Contest]:
    """Return the tests of every row of the table: methods of one IPC and test model, full data apart."""
    scores, means, own = {}, {}, rows[~rows["reference_row"] & rows["ipc"].notna()]
    own = own[["ipc", "student", "label", "reference_row", "done", "distillation_seed", "training_seed", metric]]
    groups = dict(iter(own.groupby(["ipc", "student"], sort=False)))
    for ipc, student in lines:
        at = groups.get((ipc, student), own.iloc[:0])
        scores[ipc, student] = seed_scores(at, metric)
        means[ipc, student] = {str(label): spread(one, metric)[0] for label, one in at.groupby("label", sort=False)}
    return compare(scores, means)


def _caption(scope: Scope, rows: pd.DataFrame, metric: Metric, contests: dict[Any, Contest]) -> str:
    distillation, training = num_seeds(rows)
    meaning = _FINAL if best_is_last(rows) else MEANING[metric]
    marks = "Bold: best, and methods not significantly different from it; underlined: second group. " * any(
        contest.group(0) for contest in contests.values()
    )
    return (
        f"{scope.caption} Top-1 test accuracy in percent ({meaning}), mean ± standard deviation over "
        f"{times(distillation, 'distillation seed')} and {times(training, 'training seed')}. {marks}"
        f"{tests_text(contests)} {coverage(distillation, training)} {DASH}: not run. {DAGGER}: failed."
    )


def _group(contests: dict[Any, Contest], lines: list[Line], number: int) -> frozenset[tuple[int, str]]:
    """Return the cells of the best group of each row (0), or of the next (1)."""
    return frozenset((i, label) for i, line in enumerate(lines) for label in contests[line].group(number))


def _untested(contests: dict[Any, Contest]) -> tuple[str, ...]:
    """Return a note that names the methods which have too few seeds where others were tested."""
    names = [
        f"{label} (IPC {_ipc(ipc)}, {student})"
        for (ipc, student), contest in contests.items()
        if contest.group(0)
        for label in contest.untested
    ]
    return (f"Fewer than three seeds, not tested: {', '.join(names)}",) if names else ()


def _cell(index: RowIndex, line: Line, label: str, metric: str, contest: Contest, *, is_full: bool) -> dict[str, Any]:
    """Return the plain values of a method's cell; the full data has one value per test model, whatever the IPC."""
    ipc, student = line
    own = index.rows(label, student, None if is_full else {None, None if ipc is pd.NA else ipc})
    found = summary(own, metric)
    ended = outcome(own) if len(own) else None
    return {
        "ipc": pd.NA if is_full else ipc,
        "student": student,
        "method": label,
        "reference_row": is_full,
        "metric": metric,
        "mean_percent": found.mean,
        "std_percent": found.std,
        "low_percent": found.low,
        "high_percent": found.high,
        "num_runs": found.num_runs,
        "rank": (None if is_full else contest.ranks.get(label)) or pd.NA,
        "num_failed": ended.num_failed if ended else 0,
        "status": ended.status if ended else "not run",
        "error": ended.error if ended else "",
    }


def _text(cell: dict[str, Any]) -> str:
    if cell["num_failed"]:
        return f"{mean_std(cell['mean_percent'], cell['std_percent'])}{DAGGER}" if cell["num_runs"] else DAGGER
    return mean_std(cell["mean_percent"], cell["std_percent"])


def _notes(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return one line per method that failed or was skipped."""
    notes = []
    for label, group in rows.groupby("label", sort=False):
        ended = outcome(group)
        if ended.status != "done":
            sign = f"{DAGGER} " if ended.num_failed else ""
            notes.append(f"{sign}{label}: {ended.text}")
    return tuple(notes)


def _ipc(ipc: Any) -> str:
    return str(ipc) if known(ipc) else DASH
