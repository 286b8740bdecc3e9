"""A run that says how it is, without running one: status.json, events.jsonl and jobs.json by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.core.run_folder import RunFolder
from harness.core.run_status import RunStatus
from tests.helpers.made_run import make_record, make_run

KEYS = {"fit": "a" * 32, "set": "b" * 32, "t0": "c" * 32, "t1": "d" * 32}
JOBS = {
    KEYS["fit"]: ("fit", "fit minimax seed 0"),
    KEYS["set"]: ("synthesize", "synthesize minimax ipc 10 seed 0"),
    KEYS["t0"]: ("train", "train minimax ipc 10 set 0 convnet3 seed 0"),
    KEYS["t1"]: ("train", "train minimax ipc 10 set 0 convnet3 seed 1"),
}


def make_status(**changes: Any) -> RunStatus:
    """Return the status of a run with two nodes; keywords change fields."""
    running = [
        {"key": KEYS["fit"], "kind": "fit", "title": JOBS[KEYS["fit"]][1], "handed": 1000.0, "since": 1005.0, "seen": 1099.0,
         "stage": "fit", "done": 30, "total": 100, "unit": "step", "host": "node1", "pid": 11, "cpus": 4.0, "gpus": 1.0},
        {"key": KEYS["t0"], "kind": "train", "title": JOBS[KEYS["t0"]][1], "handed": 1090.0, "attempt": 2},
    ]  # fmt: skip
    fields = {
        "run": "r", "suite": "digits", "state": "running", "executor": "ray", "host": "elsewhere", "pid": 42,
        "started": 1000.0, "seen": 1099.0, "counts": {"running": 2, "waiting": 1, "done": 1, "cached": 3},
        "by_kind": {"train": {"waiting": 1, "running": 1}, "fit": {"running": 1}, "synthesize": {"done": 1, "cached": 3}},
        "left_s": 300.0, "running": running, "num_losses": 1, "lost_s": 60.0,
        "losses": [{"key": KEYS["t0"], "kind": "train", "title": JOBS[KEYS["t0"]][1], "at": 1080.0, "why": "the node died",
                    "host": "node2", "seconds": 60.0}],
        "use": {"CPU": {"there": 16.0, "in_use": 4.0, "share": 0.25}, "GPU": {"there": 2.0, "in_use": 1.0, "share": 0.5}},
        "machines": [{"host": f"node{n}", "node": f"{n}", "cpus": 8.0, "gpus": 1.0} for n in (1, 2)],
    }  # fmt: skip
    return RunStatus.model_validate(fields | changes)


def make_events(folder: Path, *events: dict[str, Any]) -> None:
    """Write events.jsonl."""
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def two_nodes() -> list[dict[str, Any]]:
    """The events of a run in which a node was lost: 100 s; two machines with a GPU and four CPUs each."""

    def job(name: str, **fields: Any) -> dict[str, Any]:
        kind, title = JOBS[KEYS[name]]
        return {"key": KEYS[name], "kind": kind, "title": title, "cpus": 2.0, "gpus": 1.0, **fields}

    def on(number: int, began: float, pid: int = 1) -> dict[str, Any]:
        return {"host": f"node{number}", "node": f"{number}", "device": "H100", "pid": pid, "began": began}

    both = [{"host": f"node{n}", "node": f"{n}", "cpus": 4.0, "gpus": 1.0} for n in (1, 2)]
    return [
        {"t": 1000.0, "event": "run", "host": "driver", "pid": 5},
        {"t": 1000.0, "event": "machines", "machines": both},
        {"t": 1000.0, "event": "started", **job("fit"), "waiting": 3},
        {"t": 1000.0, "event": "started", **job("t1"), "waiting": 2},
        {"t": 1020.0, "event": "lost", **job("t1", attempt=1), **on(2, 1010.0), "status": "lost", "why": "the node died"},
        {"t": 1020.0, "event": "machines", "machines": both[:1]},
        {"t": 1050.0, "event": "ended", **job("fit"), **on(1, 1000.0), "status": "done", "waiting": 1},
        {"t": 1050.0, "event": "started", **job("t1", attempt=2)},
        {"t": 1080.0, "event": "failed", **job("t1", attempt=2), **on(1, 1055.0, 2), "status": "failed", "why": "broke"},
        {"t": 1080.0, "event": "started", **job("t0")},
        {"t": 1100.0, "event": "end"},
        {"t": 1100.0, "event": "ended", "key": KEYS["set"], "kind": "synthesize", "title": "x", "status": "cached"},
    ]  # fmt: skip


def make_watched(
    store: Path, name: str = "r", *, events: list[dict[str, Any]] | None = None, **changes: Any
) -> RunFolder:
    """Write a run into a store's folder and return it."""
    folder = RunFolder(make_run(store / "runs" / name, [make_record()], status="running"))
    folder.write_status(make_status(run=name, **changes))
    folder.write_jobs(JOBS)
    make_events(folder.path, *(events or two_nodes()))
    return folder
