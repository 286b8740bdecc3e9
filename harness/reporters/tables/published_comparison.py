"""Published beside measured: every published number of a suite, ours beside it, and whether the two agree.

In: records, and the rows of results/published. Out: one table per suite, version, source and protocol. Compared is what
names the same protocol, IPC, student, method and metric; all else is listed as context, without a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.core.text import DASH, interval, known, points
from harness.reporters.published_numbers import PublishedNumber, load_published, of_suite
from harness.reporters.tables.columns import Column, ipc_column, mean_column, student_column, word_column
from harness.reporters.tables.compare import coverage
from harness.reporters.tables.prepare import METRICS, Scope, num_seeds, prepare, scopes, summary
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table

CAPTION = (
    "Top-1 accuracy in percent, mean ± standard deviation, as published and as measured here. Interval: 95 % t interval of the "
    "measured mean. Difference: measured minus published, percentage points. Inside: whether the published mean lies in the "
    "interval. Published numbers state no data source: see the cited paper for the images it used."
)


_NO_NUMBER: dict[str, Any] = dict.fromkeys(
    ("measured_mean_percent", "measured_std_percent", "low_percent", "high_percent", "difference_percent"), float("nan")
) | {"num_runs": 0, "inside": pd.NA}


@register_reporter("published")
def published(records: pd.DataFrame, numbers: Sequence[PublishedNumber] | None = None) -> list[Table]:
    """Return one table per scope.

    Args:
        records: as `harness.load_results` returns them.
        numbers: published numbers; None: those of results/published.

    Raises:
        UserError: no published number is known for a suite, there are no records, or a column is missing.
    """
    numbers = load_published() if numbers is None else numbers
    return [_table(scope, rows, numbers) for scope, rows in scopes(prepare(records))]


def _table(scope: Scope, rows: pd.DataFrame, numbers: Sequence[PublishedNumber]) -> Table:
    lines = [line for number in of_suite(numbers, scope.suite) for line in _lines(number, scope, rows)]
    lines.sort(key=_order)
    sources = list(dict.fromkeys(line["source_text"] for line in lines))
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    frame["ipc"], frame["inside"] = frame["ipc"].astype("Int64"), frame["inside"].astype("boolean")
    caption = f"{scope.caption} {CAPTION} {coverage(*num_seeds(rows))}"
    return Table(
        f"Published beside measured: {scope.title}",
        caption,
        frame,
        _columns(frame, sources),
        tuple(f"[{number}] {source}" for number, source in enumerate(sources, start=1)),
        aside=("Remark",),
        group="IPC",
        brief=f"Published and measured top-1 accuracy in percent {scope.place}: mean ± standard deviation, with the 95 % "
        "interval of the measured mean.",
    )


def _lines(number: PublishedNumber, scope: Scope, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a line for each measured variant of a published number, or one that says why there is none."""
    line: dict[str, Any] = {
        "ipc": number.ipc if isinstance(number.ipc, int) else pd.NA,
        "all_data": number.ipc == "full",
        "student": number.student or "",
        "method": number.method,
        "published_protocol": number.protocol,
        "metric": number.metric,
        "published_mean_percent": number.mean,
        "published_std_percent": float("nan") if number.std is None else number.std,
        **_NO_NUMBER,
        "source_text": number.source,
    }
    if reason := _not_comparable(number, scope):
        return [{**line, "remark": reason}]
    at = rows["reference_row"] if number.ipc == "full" else (rows["ipc"] == number.ipc).fillna(False)
    same = rows[at & (rows["student"] == number.student) & (rows["method"] == number.method)]
    found = [{**line, **_measured(number, label, group)} for label, group in same.groupby("label", sort=False)]
    return found or [{**line, "remark": "not in this run"}]


def _not_comparable(number: PublishedNumber, scope: Scope) -> str:
    """Return why a number is context only; empty where it may be compared."""
    if number.is_second_hand:
        return "context: second-hand"
    if number.is_context:
        return "context: protocol, IPC or student unstated"
    if number.protocol != scope.protocol:
        return f"context: protocol {number.protocol}"
    return "" if number.metric in METRICS else f"context: metric {number.metric}"


def _measured(number: PublishedNumber, label: Any, group: pd.DataFrame) -> dict[str, Any]:
    found = summary(group, number.metric)
    if not found.num_runs:
        return {"method": label, "remark": f"measured: {group.iloc[0]['status']}"}
    inside = found.low <= number.mean <= found.high if known(found.low) else pd.NA
    return {
        "method": label,
        "measured_mean_percent": found.mean,
        "measured_std_percent": found.std,
        "low_percent": found.low,
        "high_percent": found.high,
        "num_runs": found.num_runs,
        "difference_percent": found.mean - number.mean,
        "inside": inside,
        "remark": "" if inside is not pd.NA else "no interval: one observation",
    }


def _order(line: dict[str, Any]) -> tuple[bool, bool, bool, int]:
    """By IPC, all data after them, context last."""
    context = line["remark"].startswith("context")
    return context, line["all_data"], not known(line["ipc"]), line["ipc"] if known(line["ipc"]) else 0


def _columns(frame: pd.DataFrame, sources: list[str]) -> tuple[Column, ...]:
    numbers = {source: f"[{number}]" for number, source in enumerate(sources, start=1)}
    return (
        ipc_column("all_data"),
        student_column(frame),
        word_column("Method", "method"),
        mean_column("Published", "published_mean_percent", "published_std_percent"),
        mean_column("Measured", "measured_mean_percent", "measured_std_percent"),
        Column("n", "num_runs"),
        Column("Interval", ("low_percent", "high_percent"), interval),
        Column("Difference", "difference_percent", points),
        Column("Inside", "inside", lambda inside: DASH if inside is pd.NA else "yes" if inside else "no", words=True),
        word_column("Remark", "remark"),
        Column("Source", "source_text", numbers.__getitem__, words=True),
    )
