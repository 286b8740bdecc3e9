"""A run's folder as `harness run` leaves it, made of synthetic records: no job is run for it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

REFERENCE = "Gu et al., Efficient Dataset Distillation via Minimax Diffusion, CVPR 2024"


def make_record(method: str = "dit", **changes: Any) -> dict[str, Any]:
    """Return one record; keywords change fields. What is not done has no scores and no costs."""
    record = {
        "run": "r1", "suite": "imagewoof", "suite_version": 1, "source": "image folder imagenet1k", "method": method,
        "method_title": method.replace("_", " ").capitalize(), "method_version": 1, "reference_row": False, "ipc": 10,
        "student": "convnet6", "protocol": "idc", "protocol_version": 1, "distillation_seed": 0, "training_seed": 0,
        "status": "done", "error": "", "top1_last": 33.0, "top1_best": 34.0, "best_epoch": 5, "top5_last": 70.0,
        "top5_best": 71.0, "epochs": 10, "train_wall_s": 3.0, "num_images": 100, "duplicates": 0,
        "storage_bytes": 1_048_576, "fit_wall_s": 60.0, "fit_device_s": 120.0, "synthesize_wall_s": 5.0,
        "synthesize_device_s": 5.0, "load_s": 2.0, "peak_host_bytes": 2**30, "peak_device_bytes": None,
        "energy_j": None, "device": "cpu", "config": "{}",
    }  # fmt: skip
    if changes.get("status", "done") != "done":
        costs = [n for n in record if n.endswith(("_s", "_bytes")) or n == "num_images"]
        record |= dict.fromkeys(["top1_last", "top1_best", "top5_last", "top5_best", *costs])
    return record | changes


def make_grid(methods: int, ipcs: int, students: int, seeds: int) -> list[dict[str, Any]]:
    """Return the records of a finished run of so many of each; every accuracy differs."""
    places = itertools.product(range(methods), range(ipcs), range(students), range(seeds))
    return [
        make_record(f"method_{m:02d}", ipc=10 * (i + 1), student=f"student{s}", training_seed=seed,
                    top1_best=30 + m + i + s / 8 + seed / 64)
        for m, i, s, seed in places
    ]  # fmt: skip


def make_run(folder: Path, records: list[dict[str, Any]], **changes: Any) -> Path:
    """Write run.json and records.json into a new folder and return it; keywords change what run.json holds."""
    folder.mkdir(parents=True)
    methods = {
        name: {"version": 1, "reference": REFERENCE, "config": {"steps": 50}, "code": "ab12", "skipped": None}
        for name in dict.fromkeys(record["method"] for record in records)
    }
    about = {
        "name": folder.name, "started": "2026-01-02T03:04:05+00:00", "ended": "2026-01-02T04:04:05+00:00",
        "status": "done", "source": "image folder imagenet1k", "data_fingerprint": "cd34", "classes": ["a", "b"],
        "request": {"suite": "imagewoof", "methods": ["dit"], "executor": "ray", "store": "results"},
        "suite": {"name": "imagewoof", "version": 1}, "protocol": {"name": "idc", "version": 1}, "methods": methods,
        "planned": {"train": len(records)}, "jobs": {"done": len(records), "failed": 0},
        "environment": {"device": "cpu", "device_name": "a CPU", "cpu": "a CPU", "cpu_count": 2, "platform": "Linux",
                        "python": "3.11.9", "packages": {"torch": "2.11.0"}, "git": {"commit": "ef56", "dirty": True}},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(about | changes))
    (folder / "records.json").write_text(json.dumps(records))
    return folder


def write_noise(path: Path, width: int, height: int) -> None:
    """Write a PNG of noise, which no format packs: the worst case for a page's size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = Image.effect_noise((width, height), 80)
    Image.merge("RGB", (noise, noise.rotate(90, expand=False), noise)).save(path, compress_level=1)


def with_mixed_endings(folder: Path) -> Path:
    """Return a run with all that can befall one: done, failed, skipped, interrupted; hostile texts; a sheet, figures."""
    evil = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
    rows: list[Callable[..., dict[str, Any]]] = [
        lambda **at: make_record("dit", top1_best=36.5 + at["ipc"] / 10, **at),
        lambda **at: make_record("herding", top1_best=8.5 + at["ipc"] / 10, fit_wall_s=3700.0, **at),
        lambda **at: make_record("broken", status="failed", error=f"ran out {evil}", method_title=f"Bad {evil}", **at),
        lambda **at: make_record("absent", status="skipped", error="no module named foo", **at),
    ]
    records = [row(ipc=ipc, training_seed=seed) for ipc in (10, 50) for row in rows for seed in (0, 1)]
    records.append(make_record("dit", ipc=100, status="interrupted", error="stopped before this job"))
    make_run(folder, records, status="failed")
    write_noise(folder / "images" / "dit_ipc10_seed0.png", 60, 40)
    write_noise(folder / "figures" / "cost.png", 60, 40)
    (folder / "figures" / "accuracy.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><rect id="main" width="4" height="4"/></svg>'
    )
    (folder / "errors").mkdir()
    (folder / "errors" / "synthesize_broken.txt").write_text(
        f"Traceback\n  \x1b[31mRuntimeError\x1b[0m: {evil} \ud800", errors="surrogatepass"
    )
    return folder
