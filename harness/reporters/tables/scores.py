"""Label- and augmentation-robust scores beside the accuracy, for runs that trained the students for them.

In: records, those of changed protocols included. Out: one table per suite, version, source and protocol; a row per
method, IPC and student. Source: harness/reporters/stats/robustness.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.core.config.protocol import HARD_LABELS, NO_AUGMENTATION
from harness.core.text import known as is_known
from harness.reporters.stats.robustness import augmentation_robust, label_robust
from harness.reporters.tables.columns import Column, ipc_column, mean_column, runs_column, student_column, word_column
from harness.reporters.tables.prepare import Scope, prepare, scopes, seeds_text
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table

CAPTION = (
    "LRS, label-robust score: half of (set - random subset, the protocol's labels) minus half of (full data - set, hard "
    "labels), mapped to 0..100. ARS, augmentation-robust score: the mean advantage over the random subset with the "
    "protocol's augmentation and without any, mapped likewise. A set that is as good as its references scores 26.9. "
    "Scores are computed from the best accuracies of each pair of seeds, with the random subset of the same seeds; "
    "then mean ± standard deviation."
)


def _columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    return (
        word_column("Method", "method_title"),
        ipc_column(),
        student_column(frame),
        mean_column("Accuracy", "accuracy_mean_percent", "accuracy_std_percent"),
        mean_column("LRS", "lrs_mean_x100", "lrs_std_x100"),
        mean_column("ARS", "ars_mean_x100", "ars_std_x100"),
        runs_column(["num_runs"]),
    )


@register_reporter("scores")
def scores(records: pd.DataFrame) -> list[Table]:
    """Return one table per scope; none for a scope without students trained for scores.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    tables = [_table(scope, rows) for scope, rows in scopes(prepare(records, variants=True))]
    return [table for table in tables if table is not None]


def _table(scope: Scope, rows: pd.DataFrame) -> Table | None:
    if not (rows["variant"] == NO_AUGMENTATION).any():
        return None
    known = _Accuracies(rows)
    own = rows[~rows["reference_row"] & (rows["variant"] == "")]
    lines = [_line(group, known) for _, group in own.groupby(["ipc", "label", "student"], sort=False)]
    lines.sort(key=_order)
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    seeds = seeds_text(own)
    caption = f"{scope.caption} Best top-1 accuracy in percent; {seeds}. {CAPTION}"
    brief = (
        f"Best top-1 accuracy in percent, label-robust and augmentation-robust score {scope.place}: mean ± standard "
        f"deviation over {seeds}."
    )
    return Table(f"Robust scores: {scope.title}", caption, frame, _columns(frame), brief=brief)


class _Accuracies:
    """Best accuracies as fractions, by what a score asks for."""

    def __init__(self, rows: pd.DataFrame) -> None:
        done = rows[rows["status"] == "done"]
        self.hard = HARD_LABELS if (rows["variant"] == HARD_LABELS).any() else ""
        self._of: dict[tuple[Any, ...], float] = {}
        for row in done.to_dict("records"):
            owner = "full" if row["reference_row"] else row["label"]
            seeds = () if row["reference_row"] else (row["ipc"], row["distillation_seed"])
            place = (row["variant"], row["student"], row["training_seed"], *seeds)
            self._of[owner, place] = row["top1_best"] / 100
            if row["random_subset"]:
                self._of.setdefault((None, place), row["top1_best"] / 100)

    def scores(self, row: Mapping[Any, Any]) -> tuple[float, float]:
        """Return (LRS, ARS) of a row, times 100; NaN where a student is missing that they need."""
        seeds = (row["ipc"], row["distillation_seed"])

        def at(owner: str | None, variant: str, *more: Any) -> float:
            return self._of.get((owner, (variant, row["student"], row["training_seed"], *more)), float("nan"))

        def own(variant: str) -> tuple[float, float]:
            return at(row["label"], variant, *seeds), at(None, variant, *seeds)

        (syn, random), (plain, random_plain), (hard, _) = own(""), own(NO_AUGMENTATION), own(self.hard)
        lrs = _score(label_robust, at("full", self.hard), hard, syn, random)
        return lrs, _score(augmentation_robust, syn, random, plain, random_plain)


def _order(line: dict[str, Any]) -> tuple[int, str, bool, float]:
    """By IPC and student, best first, what has no number last."""
    mean = line["accuracy_mean_percent"]
    return line["ipc"], line["student"], not is_known(mean), -mean if is_known(mean) else 0.0


def _score(function: Any, *accuracies: float) -> float:
    return float("nan") if any(pd.isna(a) for a in accuracies) else 100 * function(*accuracies)


def _line(group: pd.DataFrame, known: _Accuracies) -> dict[str, Any]:
    """Return the plain values of one method, IPC and student."""
    first = group.iloc[0]
    done = group[group["status"] == "done"]
    both = pd.DataFrame([known.scores(row) for row in done.to_dict("records")], columns=["lrs", "ars"], dtype=float)
    line: dict[str, Any] = {
        "method": first["method"],
        "method_title": first["label"],
        "ipc": int(first["ipc"]),
        "student": first["student"],
        "num_runs": len(done),
        "accuracy_mean_percent": done["top1_best"].mean(),
        "accuracy_std_percent": done["top1_best"].std(ddof=1),
    }
    for name in ("lrs", "ars"):
        line |= {f"{name}_mean_x100": both[name].mean(), f"{name}_std_x100": both[name].std(ddof=1)}
    return line
