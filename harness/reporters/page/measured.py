"""What the page makes of records itself: bars in the leaderboards, interactive plots, and the tabs for both.

In: tables for the template, records, stores. Out: values for the template. Loads pandas and matplotlib's colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.core.store import Store
from harness.reporters.page.board import all_students, scope_means, with_bars, with_places
from harness.reporters.page.plots import plots
from harness.reporters.page.tables import PageTable
from harness.reporters.tables.accuracies import Metric
from harness.reporters.tables.table import Table

_AGAINST = {"ipc": "IPC", "training": "Epoch", "time": "Distillation time", "storage": "Storage"}
"""What plots show accuracy against -> tab."""


def measured(
    shown: Sequence[PageTable], tables: Mapping[str, Table], records: pd.DataFrame, stores: Sequence[Store]
) -> dict[str, Any]:
    """Return tables with bars, plots, and tabs as (name, title, (value, text) of each); where there is no choice, no tab.

    Args:
        shown: the tables as the template shows them.
        tables: the same as the reporters made them.
        records: rows of all runs of the page.
        stores: where training curves are looked for.
    """
    names, metric = all_students(records), _ranked(tables)
    means = scope_means(records, metric)
    done = []
    for table in shown:
        placed = with_places(table, names)
        done.append(with_bars(placed, next(means, {}), metric) if table.id.startswith("leaderboard") else placed)
    drawn = plots(records, stores, metric)
    ipcs = sorted({int(ipc) for table in done for ipc, _ in table.places if ipc})
    against = {plot["tabs"]["against"] for plot in drawn}
    return {
        "tables": done,
        "plots": drawn,
        "tabs": [
            (name, title, [("", "All"), *((str(option), str(option)) for option in options)])
            for name, title, options in (("ipc", "IPC", ipcs), ("student", "Student", names))
            if len(options) > 1
        ],
        "against": [(name, title) for name, title in _AGAINST.items() if name in against],
    }


def _ranked(tables: Mapping[str, Table]) -> Metric:
    """Return the accuracy that the leaderboards rank."""
    frames = [table.frame for name, table in tables.items() if name.startswith("leaderboard")]
    best = any("rank_by" in frame and (frame["rank_by"] == "best").all() for frame in frames)
    return "top1_best" if best else "top1_last"
