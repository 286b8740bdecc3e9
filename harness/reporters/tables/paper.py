"""The table as papers print it: a row per IPC and test model, a column per method, the full data last.

In: records. Out: one table per suite, version, source and protocol. Laid out as Table 1 of Minimax Diffusion. What is
best or second is decided by tests (harness/reporters/tables/compare.py), never by digits.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pandas as pd

from harness.core.text import DAGGER, DASH, known
from harness.reporters.tables.accuracies import Metric
from harness.reporters.tables.columns import Cell, Column, ipc_column, mean_spread, student_column
from harness.reporters.tables.compare import Contest, compare, coverage, seed_scores, tests_text
from harness.reporters.tables.prepare import (
    RowIndex,
    Scope,
    best_is_last,
    num_seeds,
    outcome,
    prepare,
    scopes,
    seeds_text,
    spread,
    students,
    summary,
)
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table

Line = tuple[Any, str]
"""IPC and test model of a row."""


MEANING = {
    "top1_best": "best evaluation during training, chosen on the test split, as in most papers",
    "top1_last": "final model",
}


_SHORT = {"top1_best": "best evaluation during training", "top1_last": "final model"}


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
    cells: list[dict[str, Any]] = []
    at: dict[tuple[Any, str, str], tuple[int, ...]] = {}
    for line, label in itertools.product(lines, [*labels, *full]):
        place = (None if label in full or line[0] is pd.NA else line[0], line[1], label)
        if place not in at:
            at[place] = (len(cells),)
            cells.append(_cell(index, line, label, metric, contests[line], is_full=label in full))
    frame = pd.DataFrame([{**scope.columns(), **cell} for cell in cells])
    if len(frame):
        frame["ipc"], frame["among_best"] = frame["ipc"].astype("Int64"), frame["among_best"].astype("boolean")
    return Table(
        f"Paper table: {scope.title}",
        _caption(scope, rows, metric, contests),
        frame,
        _columns(frame, lines, labels, full, at),
        _untested(contests),
        bold=frozenset((i, label) for i, line in enumerate(lines) for label in contests[line].best()),
        underline=frozenset((i, label) for i, line in enumerate(lines) for label in contests[line].second()),
        group="IPC",
        brief=_brief(scope, rows, metric, contests),
        failures=_failures(rows),
    )


def _columns(
    frame: pd.DataFrame, lines: list[Line], labels: list[str], full: list[str], at: dict[Any, tuple[int, ...]]
) -> tuple[Column, ...]:
    """Return IPC, test model and a column per method; the full data has one number per test model, whatever the IPC."""
    rows = {
        label: [at[None if label in full or ipc is pd.NA else ipc, student, label] for ipc, student in lines]
        for label in [*labels, *full]
    }
    heads = next(iter(rows.values()))
    if not heads:  # nothing came as far as a test model
        return ()
    return (
        ipc_column(rows=heads),
        student_column(frame, rows=heads),
        *(Column(label, _READ, _number, rows=own) for label, own in rows.items()),
    )


_READ = ("mean_percent", "std_percent", "num_failed")


def _number(mean: float, std: float, num_failed: int) -> Cell:
    made = mean_spread(mean, std)
    if not num_failed:
        return made
    return replace(made, mark=DAGGER) if known(mean) else replace(made, main=DAGGER)


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
    marks = _marks(contests)
    tested = f"{marks[0].upper()}{marks[1:]} ({_TEST})." if marks else tests_text(contests)
    return (
        f"{scope.caption} Top-1 test accuracy in percent ({_meaning(rows, metric)}), mean ± standard deviation over "
        f"{seeds_text(rows)}. {tested} {coverage(*num_seeds(rows))} {DASH}: not run. {DAGGER}: failed."
    )


def _brief(scope: Scope, rows: pd.DataFrame, metric: Metric, contests: dict[Any, Contest]) -> str:
    marks = f"; {_marks(contests)}" if _marks(contests) else ""
    return (
        f"Top-1 test accuracy in percent {scope.place}, {_SHORT[metric]}, as mean ± standard deviation over "
        f"{seeds_text(rows, short=True)}{marks}."
    )


_BOLD = "bold marks the highest mean of a row and those not significantly worse"
_UNDERLINED = ", underline the next"
_TEST = (
    "multiple comparisons with the best within each row at 5 %: one-sided Welch's t tests with moderated variances, "
    "Bonferroni-corrected"
)


def _marks(contests: dict[Any, Contest]) -> str:
    """Say what is stressed; "" where nothing is."""
    best, second = (any(made(contest) for contest in contests.values()) for made in (Contest.best, Contest.second))
    return _BOLD * best + _UNDERLINED * second


def _meaning(rows: pd.DataFrame, metric: Metric) -> str:
    return _FINAL if best_is_last(rows) else MEANING[metric]


def _untested(contests: dict[Any, Contest]) -> tuple[str, ...]:
    """Return a note that names the methods which have too few seeds where others were tested."""
    names = [
        f"{label} (IPC {_ipc(ipc)}, {student})"
        for (ipc, student), contest in contests.items()
        if contest.is_ranked
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
        "among_best": pd.NA if is_full or not contest.ranks.get(label) else label in contest.best(),
        "num_failed": ended.num_failed if ended else 0,
        "status": ended.status if ended else "not run",
        "error": ended.error if ended else "",
    }


def _failures(rows: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Return each method that failed or was skipped, with the reason."""
    ended = {str(label): outcome(group) for label, group in rows.groupby("label", sort=False)}
    return tuple(
        (f"{DAGGER} {label}: {own.status}" if own.num_failed else f"{label}: {own.status}", own.error)
        for label, own in ended.items()
        if own.status != "done"
    )


def _ipc(ipc: Any) -> str:
    return str(ipc) if known(ipc) else DASH
