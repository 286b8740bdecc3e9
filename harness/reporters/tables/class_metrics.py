"""Scores that tell classes apart, for suites that ask for them: average accuracy, kappa, head to tail.

In: records. Out: one table per suite, version, source and protocol whose records ask for any of them. Overall accuracy
(top-1: every image weighs the same) stands beside average accuracy (every class weighs the same), each under its name.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.core.class_groups import FEW, GROUPS, MANY
from harness.core.text import DASH, known
from harness.reporters.tables.columns import (
    Column,
    ipc_column,
    mean_column,
    runs_column,
    status_column,
    student_column,
    word_column,
)
from harness.reporters.tables.prepare import Scope, outcome, prepare, scopes, seeds_text, spread, students
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table

_COLUMNS = {
    "average_accuracy": ("average_accuracy",),
    "kappa": ("kappa",),
    "head_tail": tuple(f"{group}_accuracy" for group in GROUPS),
}
"""What a suite may ask for -> the scores that show it."""


_HEADERS = {
    "top1": "Overall accuracy %",
    "average_accuracy": "Average accuracy %",
    "kappa": "Kappa",
    **{f"{group}_accuracy": f"{group.replace('_', '-').capitalize()} accuracy %" for group in GROUPS},
}


_MEANINGS = {
    "average_accuracy": "Average accuracy: mean of the classes' accuracies, every class with equal weight, in percent.",
    "kappa": "Kappa: Cohen's, unitless, 0 for chance and 1 for no mistake.",
    "head_tail": (
        "Head, medium, tail: thirds of the classes by their number of real training images. Many-, medium-, few-shot: "
        f"classes of more than {MANY}, of {FEW} to {MANY}, of fewer than {FEW} real training images. Classes of a group "
        f"have equal weight; {DASH}: no class of that kind."
    ),
}


@register_reporter("metrics")
def class_metrics(records: pd.DataFrame) -> list[Table]:
    """Return one table per scope whose suite asks for one of these scores.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    tables = [_table(scope, rows) for scope, rows in scopes(prepare(records))]
    return [table for table in tables if table is not None]


def asked(rows: pd.DataFrame) -> list[str]:
    """Return what the suite of these records asks for beside top-1."""
    return [name for name in rows["metrics"].iloc[0].split(", ") if name]


def _table(scope: Scope, rows: pd.DataFrame) -> Table | None:
    wanted = [name for name in asked(rows) if name in _COLUMNS]
    scores = ["top1", *(score for name in wanted for score in _COLUMNS[name])]
    shown = [s for s in scores if s in ("top1", "average_accuracy", "kappa") or rows[f"{s}_last"].notna().any()]
    if not wanted:
        return None
    groups = rows.groupby(["label", "reference_row", "ipc", "student"], sort=False, dropna=False)
    order = {student: place for place, student in enumerate(students(rows))}
    lines = sorted((_line(group, scores) for _, group in groups), key=lambda line: _order(line, order))
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    frame["ipc"] = frame["ipc"].astype("Int64")
    seeds = seeds_text(rows)
    brief = f"Accuracy by class of the final model {scope.place}: mean ± standard deviation over {seeds}."
    caption = (
        f"{scope.caption} The final model on the real test split, mean ± standard deviation over {seeds}. Overall accuracy: "
        f"top-1, every test image with equal weight, in percent. {' '.join(_MEANINGS[name] for name in wanted)} The CSV "
        "and JSON files also hold these scores for the best evaluation. Sorted by IPC, test model and overall accuracy."
    )
    return Table(f"Accuracy by class: {scope.title}", caption, frame, _columns(frame, shown), brief=brief)


def unit(score: str) -> str:
    """Return the ending of a column's name: kappa has no unit."""
    return "" if score == "kappa" else "_percent"


def _line(group: pd.DataFrame, scores: list[str]) -> dict[str, Any]:
    """Return the plain values of one method, IPC and student."""
    first, ended = group.iloc[0], outcome(group)
    line: dict[str, Any] = {
        "method": first["method"],
        "method_title": first["label"],
        "reference_row": bool(first["reference_row"]),
        "ipc": first["ipc"],
        "student": first["student"],
        "num_runs": spread(group, "top1_last")[2],
    }
    for which in ("last", "best"):
        for score in scores:
            mean, std, _ = spread(group, f"{score}_{which}")
            name = f"{'overall_accuracy' if score == 'top1' else score}_{which}"
            line |= {f"{name}_mean{unit(score)}": mean, f"{name}_std{unit(score)}": std}
    return {**line, "status": ended.status, "error": ended.error}


def _order(line: dict[str, Any], students: dict[str, int]) -> tuple[bool, int, int, float]:
    overall = line["overall_accuracy_last_mean_percent"]
    return (
        line["reference_row"],
        line["ipc"] if known(line["ipc"]) else 0,
        students.get(line["student"], 0),
        -overall if known(overall) else 1.0,
    )


def _columns(frame: pd.DataFrame, scores: list[str]) -> tuple[Column, ...]:
    return (
        word_column("Method", "method_title"),
        ipc_column("reference_row"),
        student_column(frame),
        *(_score(which, digits=3 if which == "kappa" else 1) for which in scores),
        runs_column(["num_runs"]),
        status_column(),
    )


def _score(which: str, digits: int) -> Column:
    name = f"{'overall_accuracy' if which == 'top1' else which}_last"
    return mean_column(_HEADERS[which], f"{name}_mean{unit(which)}", f"{name}_std{unit(which)}", digits=digits)
