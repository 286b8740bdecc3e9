"""Synthetic records with what figures need, and a store with curves."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """Return a function that makes one record of digits; keywords change fields."""

    def make(method: str = "dit", accuracy: float | None = 50.0, **changes: Any) -> dict[str, Any]:
        status = "done" if accuracy is not None else "failed"
        base = {
            "suite": "digits", "suite_version": 1, "source": "embedded", "method": method, "method_title": method.title(),
            "method_version": 1, "reference_row": False, "ipc": 10, "student": "convnet3", "protocol": "idc",
            "protocol_version": 1, "distillation_seed": 0, "training_seed": 0, "status": status,
            "error": "" if status == "done" else "ran out of $images", "top1_best": accuracy, "top1_last": accuracy,
            "fit_wall_s": 60.0, "fit_device_s": 120.0, "synthesize_wall_s": 5.0, "synthesize_device_s": 10.0,
            "storage_bytes": 54_000, "device": "cpu", "config": "{}", "train_key": "", "distilled_key": "",
        }  # fmt: skip
        return base | changes

    return make


@pytest.fixture
def table() -> Callable[..., pd.DataFrame]:
    """Return a function that makes the frame of records."""

    def make(rows: list[dict[str, Any]]) -> pd.DataFrame:
        frame = pd.DataFrame(rows)
        return frame.assign(ipc=frame["ipc"].astype("Int64"))

    return make


@pytest.fixture
def mixed(row, table):
    """Done, failed, skipped and the full data; two students, two IPCs, two seeds."""
    rows = []
    for student in ("convnet3", "resnet18"):
        for seed in (0, 1):
            for ipc in (10, 50):
                place = {"student": student, "training_seed": seed, "ipc": ipc}
                rows += [row("dit", 50.0 + seed, **place), row("d3m", 40.0 + ipc / 10 + seed, **place)]
                rows += [row("broken", None, **place), row("a_b", None, **place) | {"status": "skipped"}]
            full = {"ipc": None, "reference_row": True, "fit_wall_s": None, "synthesize_wall_s": None}
            rows.append(row("full", 98.0 + seed, student=student, training_seed=seed, **full))
    return table(rows)
