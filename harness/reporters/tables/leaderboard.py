"""The leaderboard: every method at every IPC, best and last accuracy of each student; failures keep their row.

In: records. Out: one table per suite, version, source and protocol; nothing is averaged across these.

Rank: standard competition ranking ("1224") of the methods of one IPC in the order of their mean best accuracy, where a
method gets a new rank only if it is significantly worse than the first of the present rank (`stats.summary.places`). The
test is paired over common seeds; a pair of seeds counts with the mean over students, and only where all of them finished.
In brackets stands the rank of a method that could not be tested: that of its mean, which says nothing about the next run.
A method that lacks a student which another one finished has no rank: a mean over fewer students compares with nothing.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.core.text import DASH, known, mean_std, shorten, times
from harness.reporters.tables.compare import Contest, compare, coverage, seed_scores, tests_text
from harness.reporters.tables.prepare import (
    METRICS,
    Scope,
    best_is_last,
    num_seeds,
    outcome,
    prepare,
    scopes,
    spread,
    students,
)
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table

RANK = (
    "Rank: within an IPC, shared with the best method that no test tells apart; in brackets: by the mean, not tested."
)


LACKING = " A method that lacks a student stands below the others of its IPC, without a rank."


SHOWN = {"best": "top1_best", "last": "top1_last"}


_READ = (
    "method", "label", "method_version", "reference_row", "ipc", "student", "distillation_seed", "training_seed", "status",
    "done", "error", *METRICS,
)  # fmt: skip
"""Columns that a line is made of; groups of few columns are cut out faster."""


@register_reporter("leaderboard")
def leaderboard(records: pd.DataFrame) -> list[Table]:
    """Return one leaderboard per scope: by IPC, then by mean best accuracy over students; the reference row last.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    return [_table(scope, rows) for scope, rows in scopes(prepare(records))]


def _table(scope: Scope, rows: pd.DataFrame) -> Table:
    names = students(rows)
    groups = rows[list(_READ)].groupby(["label", "reference_row", "ipc"], sort=False, dropna=False)
    lines = [_line(group, names) for _, group in groups]
    _mark_incomplete(lines, names)
    lines.sort(key=_order)
    contests = leaderboard_contests(rows, lines)
    for line in lines:
        line |= _rank(line, contests)
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    frame["ipc"] = frame["ipc"].astype("Int64")
    frame["method_version"] = frame["method_version"].astype("Int64")
    frame["rank"] = frame["rank"].astype("Int64")
    display = pd.DataFrame([_display(line, names) for line in lines])
    distillation, training = num_seeds(rows)
    lacking = LACKING if any(line["lacks_students"] for line in lines) else ""
    caption = (
        f"{scope.caption} Top-1 accuracy in percent on the real test split, mean ± sample standard deviation over n "
        f"students trained from {times(distillation, 'distillation seed')} and {times(training, 'training seed')}; "
        f"a single run shows no spread. {_FINAL if best_is_last(rows) else _BEST} Sorted by IPC (images per class), then "
        "by the mean best over students. "
        f"{RANK}{lacking} {coverage(distillation, training)} {tests_text(contests)}"
    )
    return Table(f"Leaderboard: {scope.title}", caption, frame, display, _notes(rows), group="IPC")


_BEST = "best: highest of the evaluations during training, chosen on the test split, as papers report; last: the final model."

_FINAL = "best and last are equal: no evaluation was better than that of the final model."


def leaderboard_contests(rows: pd.DataFrame, lines: list[dict[str, Any]]) -> dict[Any, Contest]:
    """Return the tests of every IPC, on the mean best accuracy over students; the reference row apart."""
    means: dict[Any, dict[str, float]] = {}
    for line in lines:
        if known(line["ipc"]) and not line["reference_row"]:
            mean = float("nan") if line["lacks_students"] else line["mean_top1_best_percent"]
            means.setdefault(line["ipc"], {})[line["method_title"]] = mean
    groups = dict(iter(rows.groupby("ipc", sort=False)))
    return compare({ipc: seed_scores(groups[ipc], "top1_best") for ipc in sorted(means)}, means)


def _rank(line: dict[str, Any], contests: dict[Any, Contest]) -> dict[str, Any]:
    """Return rank and whether it was tested; no rank where nothing competes."""
    competes = known(line["ipc"]) and not line["reference_row"]
    place = contests[line["ipc"]].ranks[line["method_title"]] if competes else None
    return {"rank": place.place if place else pd.NA, "rank_tested": bool(place and place.tested)}


def _line(group: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Return the plain values of one method at one IPC."""
    first, ended = group.iloc[0], outcome(group)
    distillation, training = num_seeds(group)
    line: dict[str, Any] = {
        "method": first["method"],
        "method_title": first["label"],
        "method_version": first["method_version"],
        "reference_row": bool(first["reference_row"]),
        "ipc": first["ipc"],
        "status": ended.status,
        "num_failed": ended.num_failed,
        "num_skipped": ended.num_skipped,
        "num_interrupted": ended.num_interrupted,
        "num_distillation_seeds": distillation,
        "num_training_seeds": training,
    }
    scores = group[["student", "done", *METRICS]]
    by_student = dict(iter(scores.groupby("student", sort=False)))
    for student in names:
        own = by_student.get(student, scores.iloc[:0])
        line[f"{student}_num_runs"] = spread(own, "top1_best")[2]
        for metric in METRICS:
            mean, std, _ = spread(own, metric)
            line |= {f"{student}_{metric}_mean_percent": mean, f"{student}_{metric}_std_percent": std}
    best = pd.Series([line[f"{student}_top1_best_mean_percent"] for student in names], dtype=float)
    return {**line, "mean_top1_best_percent": float(best.mean()), "error": ended.error}


def _mark_incomplete(lines: list[dict[str, Any]], names: list[str]) -> None:
    """Mark the methods without a student that another one finished at the same IPC."""
    finished: dict[Any, set[str]] = {}
    for line in lines:
        if known(line["ipc"]):
            own = {name for name in names if line[f"{name}_num_runs"]}
            finished[line["ipc"]] = finished.get(line["ipc"], set()) | own
    for line in lines:
        others = finished[line["ipc"]] if known(line["ipc"]) else ()
        line["lacks_students"] = any(not line[f"{name}_num_runs"] for name in others)


def _order(line: dict[str, Any]) -> tuple[bool, bool, int, bool, bool, float]:
    """Reference rows last, IPC ascending, best first, what lacks a student after the others, what has no number last."""
    ipc, best = line["ipc"], line["mean_top1_best_percent"]
    return (
        line["reference_row"],
        not known(ipc),
        ipc if known(ipc) else 0,
        not known(best),
        line["lacks_students"],
        -best if known(best) else 0,
    )


def _display(line: dict[str, Any], names: list[str]) -> dict[str, str]:
    """Return the strings of one row."""
    ipc = str(line["ipc"]) if known(line["ipc"]) else ("all" if line["reference_row"] else DASH)
    rank = DASH if not known(line["rank"]) else str(line["rank"]) if line["rank_tested"] else f"({line['rank']})"
    row = {"Rank": rank, "Method": line["method_title"], "IPC": ipc}
    for student in names:
        for word, metric in SHOWN.items():
            mean, std = (line[f"{student}_{metric}_{kind}_percent"] for kind in ("mean", "std"))
            row[f"{student} {word}"] = mean_std(mean, std)
    runs = sorted({line[f"{student}_num_runs"] for student in names}) or [0]
    row["n"] = str(runs[0]) if len(runs) == 1 else f"{runs[0]}–{runs[-1]}"
    reason = f": {shorten(line['error'])}" if line["error"] else ""
    return {**row, "Status": line["status"] + reason}


def _notes(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return what the rows for comparison are: the full data, and the random subset under soft labels."""
    notes = []
    if rows["reference_row"].any():
        notes.append(
            "IPC all: students trained on the whole real training split, for reference; no method competes with it."
        )
    random = rows[rows["random_subset"] & rows["labels"].isin(["soft", "stored"])]
    notes += [f"{label}: no distillation; what soft labels alone reach." for label in random["label"].unique()]
    return tuple(notes)
