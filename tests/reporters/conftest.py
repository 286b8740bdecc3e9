"""Synthetic records, as `harness.load_results` returns them."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    """Return a function that makes one record; keywords change fields."""

    def make(method: str = "dit", top1_best: float = 34.0, **changes: Any) -> dict[str, Any]:
        base = {
            "run": "r1", "suite": "imagewoof", "suite_version": 1, "source": "image folder imagenet1k",
            "method": method, "method_title": method.upper(), "method_version": 1, "reference_row": False, "ipc": 10,
            "student": "convnet6",
            "protocol": "idc", "protocol_version": 1, "distillation_seed": 0, "training_seed": 0, "status": "done",
            "error": "", "top1_last": top1_best - 1, "top1_best": top1_best, "best_epoch": 5, "top5_last": 70.0,
            "top5_best": 71.0, "epochs": 10, "train_wall_s": 3.0, "num_images": 100, "duplicates": 0,
            "storage_bytes": 1_048_576, "fit_wall_s": 60.0, "fit_device_s": 120.0, "synthesize_wall_s": 5.0,
            "synthesize_device_s": 5.0, "load_s": 2.0, "peak_host_bytes": 2**30, "peak_device_bytes": None,
            "energy_j": None, "device": "cpu", "config": "{}", "distilled_key": "k", "image_folder": "",
            "cached": False,
        }  # fmt: skip
        if changes.get("status", "done") != "done":
            base |= {"top1_last": None, "top1_best": None, "top5_last": None, "top5_best": None}
            base |= dict.fromkeys([n for n in base if n.endswith(("_s", "_bytes")) or n == "num_images"])
        return base | changes

    return make


@pytest.fixture
def frame() -> Callable[..., pd.DataFrame]:
    """Return a function that makes the frame of records, with nullable counts."""

    def make(*records: dict[str, Any]) -> pd.DataFrame:
        result = pd.DataFrame(list(records))
        for column in ("ipc", "suite_version", "method_version", "distillation_seed", "training_seed"):
            if column in result:
                result[column] = result[column].astype("Int64")
        return result

    return make


@pytest.fixture
def run(record: Callable[..., dict[str, Any]], frame: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    """Return a run: done, partly failed, failed, skipped, and the reference row; two IPCs, two students."""
    rows = []
    for student in ("convnet6", "resnet18"):
        for ipc in (10, 50):
            for seed in (0, 1, 2):
                place = {"ipc": ipc, "student": student, "training_seed": seed}
                rows.append(record("dit", 34.0 + seed + ipc / 10, **place))
                rows.append(record("minimax", 36.0 + seed + ipc / 10, **place))
                half = {"status": "failed", "error": "loss is NaN | see log"} if seed == 2 else {}
                rows.append(record("half", 30.0 + seed, **place, **half))
                rows.append(record("broken", **place, status="failed", error="ran out\nof images " + "x" * 200))
                rows.append(record("plugin", **place, status="skipped", error="no module named [foo]", device=None))
        for seed in (0, 1):
            full = {"reference_row": True, "ipc": pd.NA, "fit_wall_s": None, "synthesize_wall_s": None}
            rows.append(record("full", 86.0 + seed, student=student, training_seed=seed, **full))
    return frame(*rows)
