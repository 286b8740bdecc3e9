"""Tables of a tuning: what was tuned and found for each method, and all trials.

In: the frame of trials (`score`, `time_s`, `device_s`, `wall_s`, `status`, a column per option) and what is known of each
method. Out: tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.core.text import count, duration, known, shorten
from harness.reporters.tables.columns import Cell, Column, mean_spread, word_column
from harness.reporters.tables.table import Table

FAIR = (
    "Every method had as many trials, its default options being the first. Accuracies are those of the validation part of the "
    "training split; the test split was not opened."
)


@dataclass(frozen=True)
class MethodSummary:
    """What is known of one method of a tuning.

    Attributes:
        method: its name.
        space: METHOD.OPTION -> range, as text; empty: nothing to tune.
        best: values of the best trial's options; empty where none ended whole.
        best_number: its number; None where none ended whole.
        skipped: why the method cannot run here; empty where it can.
        notes: what a reader must know of its space.
    """

    method: str
    space: Mapping[str, str]
    best: Mapping[str, Any]
    best_number: int | None = None
    skipped: str = ""
    notes: Sequence[str] = ()


def overview(name: str, trials: pd.DataFrame, methods: Sequence[MethodSummary], metric: str) -> Table:
    """Return a line per method: trials, default and best score, what the best changes, and what the trials cost."""
    lines = [_line(trials[trials["method"] == one.method], one) for one in methods]
    frame = pd.DataFrame(lines)
    remarks = {one.method: _remark(one) for one in methods}
    columns = (
        word_column("Method", "method"),
        Column("Trials", "trials"),
        Column("Whole", "whole"),
        Column("Default", "default_percent", mean_spread),
        Column("Best", "best_percent", mean_spread),
        Column("Trial", "best_trial", count),
        Column("Device time", "device_s", duration),
        Column("Remark", "method", remarks.__getitem__, words=True),
    )
    caption = (
        f"{metric} in percent, the mean over IPCs, students and seeds. {FAIR} Whole: trials that were not stopped early and "
        "did not fail; only these can be the best. The best of many trials on one validation part looks better than it is. "
        "Device time: of the jobs that the trials stand on, each counted once, whether or not the store had it."
    )
    notes = tuple(note for one in methods for note in one.notes)
    return Table(f"Tuning {name}", caption, frame, columns, notes)


def _line(own: pd.DataFrame, one: MethodSummary) -> dict[str, Any]:
    scores = dict(zip(own["number"], own["score"], strict=True))
    return {
        "method": one.method,
        "trials": len(own),
        "whole": int((own["status"] == "done").sum()),
        "failed": int((own["status"] == "failed").sum()),
        "default_percent": scores.get(0),
        "best_percent": scores.get(one.best_number),
        "best_trial": one.best_number,
        "best_options": json.dumps(dict(one.best)),
        "device_s": float(own["device_s"].sum()),
        "wall_s": float(own["wall_s"].sum()),
        "skipped": one.skipped,
    }


def _remark(one: MethodSummary) -> str:
    if one.skipped:
        return f"skipped: {shorten(one.skipped, 80)}"
    if not one.space:
        return "nothing to tune"
    if one.best_number is None:
        return "no trial ended whole"
    if one.best_number == 0:
        return "the default is the best"
    return ", ".join(f"{name.partition('.')[2] if name.startswith(one.method) else name}={short(value)}"
                     for name, value in one.best.items())  # fmt: skip


def short(value: Any) -> str:
    """Return a value of an option for people: four digits of a number."""
    return f"{value:.4g}" if isinstance(value, float) else shorten(str(value), 40)


def trials_table(name: str, trials: pd.DataFrame) -> Table:
    """Return all trials, a line each."""
    options = [column for column in trials.columns if "." in column]
    columns = (
        word_column("Method", "method"),
        Column("Trial", "number"),
        Column("Status", ("status", "error"), _status, words=True),
        Column("Score", "score", mean_spread),
        Column("Records", ("num_records", "of_records"), lambda done, of: f"{done}/{of}"),
        Column("Distillation", "time_s", duration),
        Column("Device time", "device_s", duration),
        Column("Options", ("method", *options), lambda _, *values: _options(options, values), words=True),
    )
    caption = (
        "Trial 0 is the default. Score: mean accuracy over the records that the trial has, percent; Distillation: mean "
        "device-seconds of one distilled set; Device time: of jobs that no earlier trial stands on."
    )
    return Table(f"Trials of {name}", caption, trials, columns, long=True)


def _status(status: str, error: str) -> Cell:
    return Cell("failed", reason=error) if error else Cell(status)


def _options(names: Sequence[str], values: Sequence[Any]) -> str:
    pairs = [(name, value) for name, value in zip(names, values, strict=True) if isinstance(value, str) or known(value)]
    return ", ".join(f"{name}={short(value)}" for name, value in pairs) or "default"


def pareto(trials: pd.DataFrame) -> list[int]:
    """Return the positions of whole trials that no other beats in accuracy and time at once, the fastest first."""
    whole = trials[(trials["status"] == "done") & trials["score"].notna()]
    front: list[int] = []
    best = float("-inf")
    for position, row in whole.sort_values(["time_s", "score"], ascending=[True, False]).iterrows():
        if row["score"] > best:
            best = row["score"]
            front.append(int(str(position)))
    return front


def pareto_table(name: str, trials: pd.DataFrame) -> Table:
    """Return the Pareto front of accuracy and distillation time of each method."""
    kept = [i for _, own in trials.groupby("method", sort=False) for i in pareto(own)]
    table = trials_table(name, trials.loc[kept])
    caption = (
        "Trials that no other trial of their method beats in accuracy and in distillation time at once, the fastest first. "
        f"{FAIR}"
    )
    return Table(f"Pareto front of {name}", caption, table.frame, table.columns)
