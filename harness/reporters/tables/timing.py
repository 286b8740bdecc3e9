"""What distillation cost: time, memory, storage and energy of every method at every IPC.

In: records. Out: one table per suite, version and source; a row per method, IPC and device. The costs of one distilled
set stand in the record of each student trained on it and count once.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.core.text import byte_size, count, duration, energy, known
from harness.reporters.tables.columns import Column, ipc_column, word_column
from harness.reporters.tables.prepare import COSTS, Scope, outcome, prepare, scopes
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table

CAPTION = (
    "Distillation time is fit (shared by all IPCs and counted in each row) plus synthesize, measured when the work was done, "
    "also where a later run reused it. Wall times are those of the slowest shard; device time is summed over shards. Times "
    "include reading the real images; they exclude loading weights (Load) and training the shared generator or teacher. "
    "Times, storage and energy are means over n distilled sets; memory is the peak of the process. A nested method makes its "
    "largest set only: for a smaller set the table shows the time that does not depend on the number of images plus the "
    "proportional share of the rest; energy likewise. Storage is what must be kept to train a student; a generative set keeps "
    "no images and also needs its generator (Shared)."
)


ASIDE = ("Load", "Images", "Per class", "Status")
"""Columns that a narrow terminal shows last."""


_BOUND = "{}: smaller sets show the time of the largest set, because the method does not state which time grows with the images."


_LOST = "{}: system faults cost {} more per set on average; the times above do not include it."


_OPTIONAL = {"Peak device": "peak_device_bytes", "Shared": "shared_bytes", "Energy": "energy_j"}
"""Columns shown only where a row knows them, by the column of the frame."""


_READ = (
    "method", "label", "reference_row", "ipc", "device", "distillation_seed", "status", "done", "error",
    "synthesize_measured", *COSTS,
)  # fmt: skip
"""Columns that a line is made of; groups of few columns are cut out faster."""


@register_reporter("timing")
def timing(records: pd.DataFrame) -> list[Table]:
    """Return one table of costs per suite, version and source; times on different devices are never averaged.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    return [_table(scope, rows) for scope, rows in scopes(prepare(records), by_protocol=False)]


def _table(scope: Scope, rows: pd.DataFrame) -> Table:
    place = ["label", "reference_row", "ipc"]
    device = rows["device"].where(rows["device"] != "")
    filled = device.fillna(device.groupby([rows[c] for c in place], dropna=False).transform("first"))
    rows = rows.assign(device=filled.fillna(""))
    groups = rows[list(_READ)].groupby([*place, "device"], sort=False, dropna=False)
    lines = sorted((_line(group) for _, group in groups), key=_order)
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    if not any(line["lost_s"] for line in lines):
        frame = frame.drop(columns="lost_s")
    for column in ("ipc", "num_images", "storage_bytes", "shared_bytes", "peak_host_bytes", "peak_device_bytes"):
        frame[column] = frame[column].astype("Float64").round().astype("Int64")
    devices = [d for d in dict.fromkeys(rows["device"]) if d]
    unused = [name for name, column in _OPTIONAL.items() if not frame[column].notna().any()]
    unused += ["Device"] if len(devices) < 2 else []
    columns = tuple(column for column in _COLUMNS if column.name not in unused)
    measured = f" Measured on {devices[0]}." if len(devices) == 1 else ""
    failures = dict.fromkeys((f"{one['method_title']}: {one['status']}", one["error"]) for one in lines if one["error"])
    notes = [_BOUND.format(line["method_title"]) for line in lines if line["synthesize_measured"] == "largest set"]
    notes += [_LOST.format(line["method_title"], duration(line["lost_s"])) for line in lines if line["lost_s"]]
    caption = f"{scope.caption}{measured} {CAPTION}"
    return Table(
        f"Distillation time: {scope.title}",
        caption,
        frame,
        columns,
        tuple(dict.fromkeys(notes)),
        aside=ASIDE,
        group="IPC",
        brief=f"Cost of distillation {scope.place}: fit plus synthesize, mean over n distilled sets; memory is the peak.",
        failures=tuple(failures),
    )


def _line(group: pd.DataFrame) -> dict[str, Any]:
    """Return the plain values of one method at one IPC on one device."""
    first = group.iloc[0]
    sets = group.groupby("distillation_seed", dropna=False)[list(COSTS)].first()
    made = sets[sets["synthesize_wall_s"].notna()]
    status, error = _status(group, len(made), len(sets))
    mean, peak = made.mean(), made.max()
    total = made["fit_wall_s"].fillna(0) + made["synthesize_wall_s"]
    total_device = made["fit_device_s"].fillna(0) + made["synthesize_device_s"]
    kept = sets[["num_images", "storage_bytes"]].mean()
    per_class = kept["storage_bytes"] * first["ipc"] / kept["num_images"] if known(first["ipc"]) else float("nan")
    return {
        "method": first["method"],
        "method_title": first["label"],
        "reference_row": bool(first["reference_row"]),
        "ipc": first["ipc"],
        "device": first["device"],
        "num_sets": len(made),
        "fit_wall_s": mean["fit_wall_s"],
        "synthesize_wall_s": mean["synthesize_wall_s"],
        "synthesize_measured": next(filter(None, group["synthesize_measured"]), ""),
        "total_wall_s": total.mean(),
        "total_wall_std_s": total.std(ddof=1),
        "device_s": total_device.mean(),
        "load_s": mean["load_s"],
        "peak_host_bytes": peak["peak_host_bytes"],
        "peak_device_bytes": peak["peak_device_bytes"],
        "num_images": kept["num_images"],
        "storage_bytes": kept["storage_bytes"],
        "storage_bytes_per_class": per_class,
        "shared_bytes": mean["shared_bytes"],
        "energy_j": mean["energy_j"],
        "lost_s": mean["distill_lost_s"] if known(mean["distill_lost_s"]) else 0.0,
        "status": status,
        "error": error,
    }


def _status(group: pd.DataFrame, num_made: int, num_sets: int) -> tuple[str, str]:
    """Return how the distillation ended, whatever became of the students."""
    ended = outcome(group)
    if group["reference_row"].all():
        return "not distilled", ""
    if num_made == num_sets:
        return "done", ""
    if ended.status == "done":
        return "made elsewhere", ""
    return (f"{num_sets - num_made} of {num_sets} not made" if num_made else ended.status), ended.error


def _order(line: dict[str, Any]) -> tuple[bool, bool, int, bool, float]:
    """Reference rows last, IPC ascending, fastest first, what has no time after what has one."""
    ipc, wall = line["ipc"], line["total_wall_s"]
    return (
        line["reference_row"],
        not known(ipc),
        ipc if known(ipc) else 0,
        not known(wall),
        wall if known(wall) else 0,
    )


_COLUMNS = (
    word_column("Method", "method_title"),
    ipc_column("reference_row"),
    Column("Fit", "fit_wall_s", lambda seconds: duration(seconds or None)),
    Column("Synth", "synthesize_wall_s", duration),
    Column("Total", "total_wall_s", duration),
    Column("Device time", "device_s", duration),
    Column("Load", "load_s", duration),
    Column("Peak host", "peak_host_bytes", byte_size),
    Column("Peak device", "peak_device_bytes", byte_size),
    Column("Images", "num_images", count),
    Column("Storage", "storage_bytes", byte_size),
    Column("Per class", "storage_bytes_per_class", byte_size),
    Column("Shared", "shared_bytes", byte_size),
    Column("Energy", "energy_j", energy),
    Column("n", "num_sets"),
    word_column("Device", "device"),
    word_column("Status", "status"),
)
