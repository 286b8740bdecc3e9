"""The leaderboard: every method at every IPC, last and best accuracy of each student; failures keep their row.

In: records. Out: one table per suite, version, source and protocol; nothing is averaged across these.

Rank: standard competition ranking ("1224") of the methods of one IPC in the order of their mean accuracy over students, of
the final model (`last`) unless told otherwise. A method gets a new rank only if it is significantly worse than the first of
the present rank (`stats.summary.places`). The test takes, for each pair of seeds, the mean over students, where all of
them finished. Methods with fewer than three seeds have no rank; nor has one that lacks a student which another finished.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.core.text import count, known
from harness.reporters.tables.accuracies import Metric, RankBy, metric_of
from harness.reporters.tables.columns import Column, ipc_column, mean_column, runs_column, status_column, word_column
from harness.reporters.tables.compare import Contest, compare, coverage, seed_scores, tests_text
from harness.reporters.tables.prepare import (
    METRICS,
    Scope,
    best_is_last,
    num_seeds,
    outcome,
    prepare,
    scopes,
    seeds_text,
    spread,
    students,
)
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table
from harness.students.spec import titles_of

RANK = "Methods not significantly different from the best of a rank share it."


LACKING = " A method without one of the students has no rank and stands last."


SHOWN: dict[RankBy, Metric] = {"last": "top1_last", "best": "top1_best"}


_READ = (
    "method", "label", "method_version", "reference_row", "ipc", "student", "distillation_seed", "training_seed", "status",
    "done", "error", *METRICS,
)  # fmt: skip
"""Columns that a line is made of; groups of few columns are cut out faster."""


@register_reporter("leaderboard")
def leaderboard(records: pd.DataFrame, *, rank_by: RankBy = "last") -> list[Table]:
    """Return one leaderboard per scope: by IPC, then by mean accuracy over students; the reference row last.

    Args:
        records: as `harness.load_results` returns them.
        rank_by: accuracy that sorts, ranks and is tested: `last`, of the final model, or `best` evaluation.

    Raises:
        UserError: there are no records, a column is missing, or there is no such accuracy.
    """
    metric_of(rank_by)
    return [_table(scope, rows, rank_by) for scope, rows in scopes(prepare(records))]


def _table(scope: Scope, rows: pd.DataFrame, rank_by: RankBy) -> Table:
    names = students(rows)
    groups = rows[list(_READ)].groupby(["label", "reference_row", "ipc"], sort=False, dropna=False)
    lines = [_line(group, names) for _, group in groups]
    _mark_incomplete(lines, names)
    lines.sort(key=lambda line: _order(line, rank_by))
    contests = leaderboard_contests(rows, lines, rank_by)
    for line in lines:
        line["rank"], line["rank_by"] = _rank(line, contests), rank_by
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    for column in ("ipc", "method_version", "rank"):
        frame[column] = frame[column].astype("Int64")
    lacking = LACKING if any(line["lacks_students"] for line in lines) else ""
    meaning = _EQUAL if best_is_last(rows) else _MEANING
    tested = any(known(line["rank"]) for line in lines)
    ranked = (
        f"Ranked by the mean of {rank_by} over students within each IPC (images per class). {RANK} " if tested else ""
    )
    seeds = seeds_text(rows)
    brief = (
        f"Top-1 test accuracy in percent {scope.place}, as mean ± standard deviation over {seeds_text(rows, short=True)}"
        f"{', ranked by the ' + _SHORT[rank_by] if tested else ''}."
    )
    caption = (
        f"{scope.caption} Top-1 test accuracy in percent: mean ± standard deviation over {seeds}. {meaning} "
        f"{ranked}{tests_text(contests)}{lacking} {coverage(*num_seeds(rows))}"
    )
    return Table(
        f"Leaderboard: {scope.title}", caption, frame, _columns(names, rank_by), _notes(rows), group="IPC", brief=brief
    )


_MEANING = "last: the final model; best: the best evaluation during training, chosen on the test split."

_SHORT = {"last": "final model (last)", "best": "best evaluation during training (best)"}

_EQUAL = "last and best are equal: no evaluation was better than that of the final model."


def leaderboard_contests(rows: pd.DataFrame, lines: list[dict[str, Any]], rank_by: RankBy) -> dict[Any, Contest]:
    """Return the tests of every IPC, on the mean accuracy over students; the reference row apart."""
    metric = metric_of(rank_by)
    means: dict[Any, dict[str, float]] = {}
    for line in lines:
        if known(line["ipc"]) and not line["reference_row"]:
            mean = float("nan") if line["lacks_students"] else line[f"mean_{metric}_percent"]
            means.setdefault(line["ipc"], {})[line["method_title"]] = mean
    groups = dict(iter(rows.groupby("ipc", sort=False)))
    return compare({ipc: seed_scores(groups[ipc], metric) for ipc in sorted(means)}, means)


def _rank(line: dict[str, Any], contests: dict[Any, Contest]) -> Any:
    """Return the rank; none where nothing competes or nothing was tested."""
    competes = known(line["ipc"]) and not line["reference_row"]
    rank = contests[line["ipc"]].ranks[line["method_title"]] if competes else None
    return rank or pd.NA


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
    for metric in SHOWN.values():
        means = pd.Series([line[f"{student}_{metric}_mean_percent"] for student in names], dtype=float)
        line[f"mean_{metric}_percent"] = float(means.mean())
    return {**line, "error": ended.error}


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


def _order(line: dict[str, Any], rank_by: RankBy) -> tuple[bool, bool, int, bool, bool, float]:
    """Reference rows last, IPC ascending, best first, what lacks a student after the others, what has no number last."""
    ipc, mean = line["ipc"], line[f"mean_{metric_of(rank_by)}_percent"]
    return (
        line["reference_row"],
        not known(ipc),
        ipc if known(ipc) else 0,
        not known(mean),
        line["lacks_students"],
        -mean if known(mean) else 0,
    )


def _columns(names: list[str], rank_by: RankBy) -> tuple[Column, ...]:
    """Return rank, method and IPC, two accuracies of each student (that which ranks go by first), n and status."""
    words = sorted(SHOWN, key=lambda word: word != rank_by)
    return (
        Column("Rank", "rank", count),
        word_column("Method", "method_title"),
        ipc_column("reference_row"),
        *(_accuracy(student, which, title) for student, title in titles_of(names).items() for which in words),
        runs_column([f"{student}_num_runs" for student in names]),
        status_column(),
    )


def _accuracy(student: str, which: RankBy, title: str) -> Column:
    mean = f"{student}_{SHOWN[which]}"
    return mean_column(f"{student} {which}", f"{mean}_mean_percent", f"{mean}_std_percent", paper=f"{title} {which}")


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
