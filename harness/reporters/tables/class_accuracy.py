"""The accuracy of every class, for suites that ask for it: a row per IPC, test model and class, a column per method.

In: records. Out: one table per suite, version, source and protocol; of the final model. Long: it goes to files.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from harness.core.text import known
from harness.reporters.tables.class_metrics import asked
from harness.reporters.tables.columns import first, ipc_column, mean_column, student_column, word_column
from harness.reporters.tables.prepare import Scope, prepare, scopes, seeds_text, students
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table


@register_reporter("class_accuracy")
def class_accuracy(records: pd.DataFrame) -> list[Table]:
    """Return one table per scope whose suite asks for it and of which any training is done.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    tables = [_table(scope, rows) for scope, rows in scopes(prepare(records)) if "class_accuracy" in asked(rows)]
    return [table for table in tables if table is not None]


def _table(scope: Scope, rows: pd.DataFrame) -> Table | None:
    cells = [cell for _, group in _groups(rows) for cell in _cells(group)]
    if not cells:
        return None
    own = list(dict.fromkeys(rows.loc[~rows["reference_row"], "label"]))
    full = list(dict.fromkeys(rows.loc[rows["reference_row"], "label"]))
    at = {(c["ipc"], c["student"], c["class"], c["method_title"]): (i,) for i, c in enumerate(cells)}
    ipcs = sorted({c["ipc"] for c in cells if not c["reference_row"]}) or [None]
    lines = [(i, s, c) for i in ipcs for s in students(rows) for c in dict.fromkeys(cell["class"] for cell in cells)]
    frame = pd.DataFrame([{**scope.columns(), **cell} for cell in cells])
    frame["ipc"] = frame["ipc"].astype("Int64")
    columns = (
        ipc_column(rows=[first([c["ipc"] for c in cells], ipc) for ipc, _, _ in lines]),
        student_column(frame, rows=[first([c["student"] for c in cells], student) for _, student, _ in lines]),
        word_column("Class", "class", rows=[first([c["class"] for c in cells], name) for _, _, name in lines]),
        *(
            mean_column(label, "accuracy_last_mean_percent", "accuracy_last_std_percent", rows=[
                at.get((None if label in full else ipc, student, name, label), ()) for ipc, student, name in lines
            ])
            for label in [*own, *full]
        ),
    )  # fmt: skip
    seeds = seeds_text(rows)
    brief = (
        f"Test accuracy of each class in percent {scope.place}: final model, mean ± standard deviation over {seeds}."
    )
    title = f"Accuracy of every class: {scope.title}"
    return Table(title, f"{scope.caption} {brief}", frame, columns, long=True, brief=brief)


def _groups(rows: pd.DataFrame) -> Any:
    done = rows[rows["status"] == "done"]
    return done.groupby(["label", "reference_row", "ipc", "student"], sort=False, dropna=False)


def _cells(group: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the plain values of one method, IPC and student: a row per class, in label order."""
    first = group.iloc[0]
    by_class = {
        which: pd.DataFrame([json.loads(text) for text in group[f"class_accuracy_{which}"] if text], dtype=float)
        for which in ("last", "best")
    }
    return [
        {
            "method": first["method"],
            "method_title": first["label"],
            "reference_row": bool(first["reference_row"]),
            "ipc": int(first["ipc"]) if known(first["ipc"]) else None,
            "student": first["student"],
            "class": class_id,
            "num_runs": len(by_class["last"]),
            **{
                f"accuracy_{which}_{kind}_percent": float(getattr(scores[class_id], kind)())
                for which, scores in by_class.items()
                for kind in ("mean", "std")
            },
        }
        for class_id in by_class["last"].columns
    ]
