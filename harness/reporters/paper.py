"""The table as papers print it: a row per IPC and test model, a column per method, the full data last.

In: records. Out: one table per suite, version, source and protocol. Laid out as Table 1 of Minimax Diffusion.
"""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

from harness.format import DAGGER, DASH, known, mean_std, times
from harness.reporters.records import Scope, num_seeds, outcome, prepare, scopes, spread, students
from harness.reporters.table import Table, register_reporter

Metric = Literal["top1_best", "top1_last"]

_MEANING = {
    "top1_best": "the best of the evaluations during training, chosen on the test split, as papers report it",
    "top1_last": "the accuracy of the final model",
}


@register_reporter("paper")
def paper(records: pd.DataFrame, *, metric: Metric = "top1_best") -> list[Table]:
    """Return one paper-style table per scope.

    Args:
        records: as `harness.load_results` returns them.
        metric: which of the two accuracies to show.

    Raises:
        ValueError: another metric.
        UserError: there are no records, or a column is missing.
    """
    if metric not in _MEANING:
        raise ValueError(f"metric {metric!r} is not known; use {' or '.join(_MEANING)}")
    return [_table(scope, rows, metric) for scope, rows in scopes(prepare(records))]


def _table(scope: Scope, rows: pd.DataFrame, metric: Metric) -> Table:
    own, reference = rows[~rows["reference_row"]], rows[rows["reference_row"]]
    labels, full = list(dict.fromkeys(own["label"])), list(dict.fromkeys(reference["label"]))
    lines = [(ipc, student) for ipc in sorted(own["ipc"].dropna().unique()) for student in students(rows)]
    if not lines:
        lines = [(pd.NA, student) for student in students(rows)]
    cells = {
        (line, label): _cell(rows, line, label, metric, is_full=label in full)
        for line in lines
        for label in [*labels, *full]
    }
    display = pd.DataFrame(
        [
            {"IPC": _ipc(ipc), "Test model": student}
            | {label: _text(cells[(ipc, student), label]) for label in [*labels, *full]}
            for ipc, student in lines
        ]
    )
    frame = pd.DataFrame([{**scope.columns(), **cell} for cell in cells.values()]).drop_duplicates(ignore_index=True)
    if len(frame):
        frame["ipc"] = frame["ipc"].astype("Int64")
    distillation, training = num_seeds(rows)
    caption = (
        f"{scope.caption} Top-1 accuracy in percent on the real test split ({metric}: {_MEANING[metric]}), mean ± "
        f"sample standard deviation over {times(distillation, 'distillation seed')} and "
        f"{times(training, 'training seed')}; a single run shows no spread. "
        f"Bold: highest mean of the row, full data apart. {DASH}: not run."
    )
    bold = frozenset((i, label) for i, line in enumerate(lines) for label in _best(cells, line, labels))
    return Table(f"Paper table: {scope.title}", caption, frame, display, _notes(rows), bold)


def _cell(rows: pd.DataFrame, line: tuple[Any, str], label: str, metric: str, *, is_full: bool) -> dict[str, Any]:
    """Return the plain values of a method's cell; the full data has one value per test model, whatever the IPC."""
    ipc, student = line
    own = rows[(rows["label"] == label) & rows["student"].isin([student, ""])]
    if not is_full:
        own = own[own["ipc"].isna() if ipc is pd.NA else (own["ipc"].isna() | (own["ipc"] == ipc).fillna(False))]
    mean, std, num = spread(own, metric)
    ended = outcome(own) if len(own) else None
    return {
        "ipc": pd.NA if is_full else ipc,
        "student": student,
        "method": label,
        "reference_row": is_full,
        "metric": metric,
        "mean_percent": mean,
        "std_percent": std,
        "num_runs": num,
        "num_failed": ended.num_failed if ended else 0,
        "status": ended.status if ended else "not run",
        "error": ended.error if ended else "",
    }


def _text(cell: dict[str, Any]) -> str:
    if cell["num_failed"]:
        return f"{mean_std(cell['mean_percent'], cell['std_percent'])}{DAGGER}" if cell["num_runs"] else DAGGER
    return mean_std(cell["mean_percent"], cell["std_percent"])


def _best(cells: dict[Any, dict[str, Any]], line: tuple[Any, str], labels: list[str]) -> list[str]:
    """Return the methods with the highest mean of a row, as displayed; none where nothing is compared."""
    means = {label: round(cells[line, label]["mean_percent"], 1) for label in labels}
    means = {label: mean for label, mean in means.items() if known(mean)}
    return [label for label, mean in means.items() if mean == max(means.values())] if len(means) > 1 else []


def _notes(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return one line per method that failed or was skipped."""
    notes = []
    for label, group in rows.groupby("label", sort=False):
        ended = outcome(group)
        if ended.status != "done":
            sign = f"{DAGGER} " if ended.num_failed else ""
            notes.append(f"{sign}{label}: {ended.text}")
    return tuple(notes)


def _ipc(ipc: Any) -> str:
    return str(ipc) if known(ipc) else DASH
