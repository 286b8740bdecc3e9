"""From records to what figures show: one point per method, IPC and student, with its spread and its costs.

In: the frame of `harness.load_results`. Out: frames; accuracies in percent, times in seconds, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from harness.core.text import shorten, times
from harness.reporters.stats.summary import summarise
from harness.reporters.tables.prepare import outcome, prepare

Bars = Literal["ci95", "std"]


@dataclass(frozen=True)
class Spread:
    """The mean of a group of runs and the ends of its error bar; NaN where one observation tells nothing.

    Attributes:
        num_runs: students trained.
        num_observations: what the interval counts as independent (see `interval`).
    """

    mean: float
    low: float
    high: float
    num_runs: int
    num_observations: int


def interval(values: np.ndarray, sets: np.ndarray, bars: Bars) -> Spread:
    """Return mean and error bar of runs: Student's t interval of the mean at 95 %, or one sample standard deviation.

    `stats.summary` says what the interval counts as one observation; the standard deviation is over all runs.

    Args:
        values: accuracies of the runs.
        sets: the distillation seed of each.
        bars: which of the two.
    """
    found = summarise(values, sets)
    if bars == "std":
        return Spread(found.mean, found.mean - found.std, found.mean + found.std, found.num_runs, found.num_runs)
    return Spread(found.mean, found.low, found.high, found.num_runs, found.num_observations)


def bars_note(points: pd.DataFrame, bars: Bars) -> str:
    """Return what the error bars are, and over how many runs."""
    what = "Error bars: one sample standard deviation"
    if bars == "ci95":
        what = "Error bars: 95 % confidence interval of the mean (Student's t)"
    num = sorted(set(points["num_runs"]))
    if points["low"].isna().all():
        return f"No error bars: one {'student' if num[-1] == 1 else 'distilled set'} per point."
    over = f"over n = {num[0]}" if len(num) == 1 else f"over n = {num[0]} to {num[-1]}"
    note = f"{what} {over} {'student' if num[-1] == 1 else 'students'} per point"
    if bars == "ci95" and (points["num_observations"] < points["num_runs"]).any():
        most = points["num_observations"].max()
        note += (
            f"; the interval counts students of one distilled set as one observation (up to {times(int(most), 'set')})"
        )
    if (points["high"] > 100).any() or (points["low"] < 0).any():
        note += "; clipped at 0 and 100 %"
    return note + ("; a point of one student has no bar." if points["low"].isna().any() else ".")


def rows_with(records: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return the prepared records with further text columns, such as the keys of artefacts; "" where one is unknown."""
    if "variant" in records:
        records = records[records["variant"].fillna("") == ""]
    frame = prepare(records)
    for column in columns:
        texts = records[column].tolist() if column in records else [""] * len(records)
        frame[column] = [texts[i] if isinstance(texts[i], str) else "" for i in frame.index]
    return frame


def accuracy_points(rows: pd.DataFrame, metric: str, bars: Bars) -> pd.DataFrame:
    """Return a row per method, IPC, student and device with a result: label, costs, mean, low, high, num_runs.

    Times on different devices are never averaged: where a scope has several devices, the label names them.
    """
    done = rows[(rows["status"] == "done") & rows[metric].notna()]
    devices = {d for d in done.loc[~done["reference_row"], "device"] if d}
    if len(devices) > 1:
        done = done.assign(label=[f"{m} ({d})" if d else m for m, d in zip(done["label"], done["device"], strict=True)])
    place = ["label", "reference_row", "ipc", "student"]
    points = [_point(group, metric, bars) for _, group in done.groupby(place, sort=False, dropna=False)]
    return pd.DataFrame(points, columns=_COLUMNS)


_COLUMNS = ["label", "reference_row", "ipc", "student", "mean", "low", "high", "num_runs", "num_observations", "wall_s",
            "device_s", "storage_bytes"]  # fmt: skip


def _point(group: pd.DataFrame, metric: str, bars: Bars) -> dict[str, Any]:
    first = group.iloc[0]
    sets = group["distillation_seed"].to_numpy(dtype=float, na_value=-1)
    found = interval(group[metric].to_numpy(dtype=float), sets, bars)
    costs = group[~pd.Series(sets, index=group.index).duplicated()]  # every row of a distilled set repeats its costs
    return {
        "label": first["label"],
        "reference_row": bool(first["reference_row"]),
        "ipc": float("nan") if pd.isna(first["ipc"]) else float(first["ipc"]),
        "student": first["student"],
        **vars(found),
        "wall_s": (costs["fit_wall_s"].fillna(0) + costs["synthesize_wall_s"]).mean(),
        "device_s": (costs["fit_device_s"].fillna(0) + costs["synthesize_device_s"]).mean(),
        "storage_bytes": costs["storage_bytes"].mean(),
    }


def missing_note(rows: pd.DataFrame) -> Sequence[str]:
    """Return one note that names every method with jobs that did not end well, or none."""
    ended = {str(label): outcome(group) for label, group in rows.groupby("label", sort=False)}
    bad = [f"{shorten(label, 40)} ({o.text})" for label, o in ended.items() if o.status != "done"]
    return [f"Not complete: {'; '.join(bad)}."] if bad else []
