"""The numbers of the interactive plots: accuracy against IPC and costs, and accuracy while students train.

In: records, and the stores in which the curves of students lie. Out: plain lists that the page carries as JSON. Nothing is
downloaded for a plot: of a remote store only what lies on this machine is read.
"""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.core.errors import UserError
from harness.core.integrity import flaw
from harness.core.paths import is_regular
from harness.core.store import Store
from harness.core.text import known, times
from harness.reporters.figures.points import accuracy_points, rows_with
from harness.reporters.figures.style import Look, looks
from harness.reporters.tables.accuracies import Metric, said
from harness.reporters.tables.prepare import Scope, scopes, students

MOST_TRAININGS = 1000
"""Whose curves are read for a page; of more, figures are drawn on demand."""


MOST_POINTS = 40
"""Of one curve on a page; of a longer one every second, third, ... point."""


_AGAINST = {
    "ipc": ("ipc", "Images per class (IPC)", "count"),
    "time": ("wall_s", "Distillation time", "seconds"),
    "storage": ("storage_bytes", "Storage of the distilled set", "bytes"),
}
"""Tab -> column of the points, axis, unit."""


_ACCURACY: dict[Metric, str] = {
    "top1_last": "Top-1 accuracy, final model (%)",
    "top1_best": "Top-1 accuracy, best evaluation (%)",
}


Curve = tuple[np.ndarray, np.ndarray]
"""Epochs and top-1 accuracy of one training, percent."""


def plots(records: pd.DataFrame, stores: Sequence[Store], metric: Metric) -> list[dict[str, Any]]:
    """Return a plot for each student and x axis, and one of training for each student and IPC; empty: nothing is done.

    Args:
        records: of one run, or of several that fit together.
        stores: where curves are looked for, in this order.
        metric: accuracy of the leaderboard.

    Returns:
        Dicts with title, axes, `tabs` (in which tab a plot is shown), `lines` (label, colour, marker; points of x, mean, low,
        high, runs) and `full` (label, mean, low, high of the full data).
    """
    found = []
    every = list(scopes(rows_with(records, "train_key")))
    for scope, rows in every:
        title = f"{scope.title}: " if len(every) > 1 else ""
        points = accuracy_points(rows, metric, "ci95")
        if points.empty:
            continue
        found_looks = looks(points["label"])
        found += [{**plot, "title": title + plot["title"]} for plot in _against(points, found_looks, _ACCURACY[metric])]
        found += [{**plot, "title": title + plot["title"]} for plot in _training(scope, rows, stores)]
    return found


def _against(points: pd.DataFrame, found: dict[str, Look], axis: str) -> Iterator[dict[str, Any]]:
    own, full = points[~points["reference_row"]], points[points["reference_row"]]
    for tab, (column, label, unit) in _AGAINST.items():
        there = own[own[column].notna() & (own[column] > 0)]
        for student in dict.fromkeys(there["student"]):
            here = there[there["student"] == student]
            lines = [
                _line(str(name), found[str(name)], group.sort_values("ipc"), column)
                for name, group in here.groupby("label", sort=False)
            ]
            yield {
                "title": student,
                "tabs": {"student": student, "against": tab},
                "x": label,
                "y": axis,
                "unit": unit,
                "log": True,
                "interval": "95 % interval",
                "note": "",
                "lines": lines,
                "full": [
                    [str(row["label"]), *(_number(row[end]) for end in ("mean", "low", "high"))]
                    for _, row in full[full["student"] == student].iterrows()
                ],
            }


def _line(label: str, look: Look, rows: pd.DataFrame, column: str) -> dict[str, Any]:
    points = [
        [_number(row[column], 6), *(_number(row[name]) for name in ("mean", "low", "high")), int(row["num_runs"]),
         _number(row["ipc"])]
        for _, row in rows.iterrows()
    ]  # fmt: skip
    return {"label": label, "colour": look.color, "marker": look.marker, "points": points}


def _training(scope: Scope, rows: pd.DataFrame, stores: Sequence[Store]) -> Iterator[dict[str, Any]]:
    """Yield a plot for each student and IPC whose trainings left a curve here."""
    done = rows[(rows["status"] == "done") & (rows["train_key"] != "")]
    if len(done) > MOST_TRAININGS:
        return
    curves = {key: curve for key in done["train_key"] if (curve := read_curve(stores, key)) is not None}
    found = looks(done["label"])
    for student in students(done) if curves else ():
        of_student = done[done["student"] == student]
        for ipc in sorted(of_student["ipc"].dropna().unique()):
            here = of_student[(of_student["ipc"] == ipc) & of_student["train_key"].isin(curves.keys())]
            lines = [
                {
                    "label": str(label),
                    "colour": found[str(label)].color,
                    "marker": found[str(label)].marker,
                    "points": _joined([curves[key] for key in group["train_key"]]),
                }
                for label, group in here.groupby("label", sort=False)
            ]
            if lines:
                gone = len(of_student[of_student["ipc"] == ipc]) - len(here)
                yield {
                    "title": f"{student}, IPC {ipc}",
                    "tabs": {"student": student, "ipc": str(ipc), "against": "training"},
                    "x": "Epoch",
                    "y": said("Top-1 accuracy on the test split (%)", scope.source),
                    "unit": "count",
                    "log": False,
                    "interval": "Smallest to largest",
                    "note": f"{times(gone, 'curve')} not on this machine" if gone else "",
                    "lines": lines,
                    "full": [],
                }


def read_curve(stores: Sequence[Store], key: str) -> Curve | None:
    """Return the evaluations of a training as its artefact holds them; None where it is not here or holds no numbers."""
    for store in stores:
        with contextlib.suppress(UserError, OSError, ValueError, KeyError, csv.Error):
            folder = store.path("train", key)
            path = folder / "curves.csv"
            if is_regular(path) and not flaw(folder, sums=True):  # not `fetch`, which downloads and sets aside
                with path.open(encoding="utf-8", newline="") as file:
                    rows = [(float(row["epoch"]), float(row["top1"])) for row in csv.DictReader(file) if row["top1"]]
                curve = np.array(rows).reshape(-1, 2)
                curve = curve[np.isfinite(curve).all(axis=1)]
                if len(curve):
                    return curve[:, 0], curve[:, 1]
    return None


def _joined(curves: list[Curve]) -> list[list[float | int | None]]:
    """Return [epoch, mean, smallest, largest, trainings] over the common epochs of some trainings, thinned."""
    num = min(len(epochs) for epochs, _ in curves)
    values = np.stack([accuracy[:num] for _, accuracy in curves])
    shown = range(num - 1, -1, -max(1, math.ceil(num / MOST_POINTS)))  # from the end, which says most
    several = len(curves) > 1
    return [
        [
            _number(curves[0][0][i]),
            _number(values[:, i].mean(), 1),
            _number(values[:, i].min(), 1) if several else None,
            _number(values[:, i].max(), 1) if several else None,
            len(curves),
        ]
        for i in reversed(shown)
    ]


def _number(value: Any, digits: int = 2) -> float | int | None:
    """Return a number short enough for JSON; None where there is none."""
    if not known(value) or not math.isfinite(value):
        return None
    short = round(float(value), digits)
    return int(short) if short.is_integer() else short
