"""Published beside measured: every published number of a suite, ours beside it, and whether the two agree.

In: records, and the rows of results/published. Out: one table per suite, version, source and protocol. Compared is what
names the same protocol, IPC, student, method and metric; all else is listed as context, without a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.core.text import DASH, count, interval, known, mean_std, points
from harness.reporters.published_numbers import PublishedNumber, load_published, of_suite
from harness.reporters.tables.compare import coverage
from harness.reporters.tables.prepare import METRICS, Scope, num_seeds, prepare, scopes, summary
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table

CAPTION = (
    "Top-1 accuracy in percent, mean ± standard deviation as published, and mean ± sample standard deviation as measured "
    "here; Interval: 95 % t interval of the measured mean; Difference: measured minus published, percentage points; Inside: "
    "whether the published mean lies in the interval. Published rows name no data source: whether their images are those "
    "of the source above, only the cited paper can say."
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
    sources = {source: i for i, source in enumerate(dict.fromkeys(line["source_text"] for line in lines), start=1)}
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    frame["ipc"], frame["inside"] = frame["ipc"].astype("Int64"), frame["inside"].astype("boolean")
    display = pd.DataFrame([_display(line, sources) for line in lines])
    caption = f"{scope.caption} {CAPTION} {coverage(*num_seeds(rows))}"
    notes = tuple(f"[{number}] {source}" for source, number in sources.items())
    return Table(
        f"Published beside measured: {scope.title}", caption, frame, display, notes, aside=("Remark",), group="IPC"
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


def _display(line: dict[str, Any], sources: dict[str, int]) -> dict[str, str]:
    """Return the strings of one row."""
    return {
        "IPC": "all" if line["all_data"] else count(line["ipc"]),
        "Test model": line["student"] or DASH,
        "Method": line["method"],
        "Published": mean_std(line["published_mean_percent"], line["published_std_percent"]),
        "Measured": mean_std(line["measured_mean_percent"], line["measured_std_percent"]),
        "n": str(line["num_runs"]),
        "Interval": interval(line["low_percent"], line["high_percent"]),
        "Difference": points(line["difference_percent"]),
        "Inside": DASH if line["inside"] is pd.NA else "yes" if line["inside"] else "no",
        "Remark": line["remark"] or DASH,
        "Source": f"[{sources[line['source_text']]}]",
    }
