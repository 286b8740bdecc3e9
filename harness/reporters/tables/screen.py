"""What a terminal shows of a leaderboard: a line per method, with rank and accuracies of each IPC beside each other.

In: a leaderboard table. Out: a shorter one. It shows the accuracy that the ranks go by; the whole table has both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.text import DASH, count, known, shorten, times
from harness.reporters.tables.accuracies import said
from harness.reporters.tables.columns import Cell, Column, first, mean_spread, word_column
from harness.reporters.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

METRICS = {"top1_last": "of the final model", "top1_best": "of the best evaluation during training"}

FEW_SEEDS = 3
"""With fewer trained students per method there are no ranks on a terminal."""

_MOST_NOTES = 8
_REASON = 160


def is_leaderboard(table: Table) -> bool:
    """Return whether a table can be shown so."""
    return {"method_title", "ipc", "rank", "status", "reference_row"} <= set(table.frame.columns)


def leaderboard_screen(table: Table) -> Table:
    """Return a leaderboard with a row for each method; what failed stands in the cell and, with its reason, in `notes`.

    Rows stand in the order of their mean over students and IPCs, methods that lack an IPC below, the full data last.
    """
    frame, metric = table.frame, ranked_metric(table.frame)
    students = _students(frame, metric)
    ipcs = sorted(int(ipc) for ipc in frame["ipc"].dropna().unique())
    seeds = _num_runs(frame, students)
    ranked = seeds >= FEW_SEEDS and bool(frame["rank"].notna().any())
    groups = list(frame.groupby("method_title", sort=False))
    names = [str(name) for name, own in sorted(groups, key=lambda one: _order(one[1], ipcs, students, metric))]
    titles, places = list(frame["method_title"]), [int(ipc) if known(ipc) else None for ipc in frame["ipc"]]
    at = {place: (i,) for i, place in enumerate(zip(titles, places, strict=True))}
    columns = [word_column("Method", "method_title", rows=[first(titles, name) for name in names])]
    budgets: list[int | None] = [*ipcs]
    for ipc in budgets or [None]:
        above, rows = (
            f"IPC {ipc}\n" if ipc is not None else "",
            [at.get((n, ipc), at.get((n, None), ())) for n in names],
        )
        columns += [Column(f"{above}rank", "rank", count, rows=rows)] if ranked else []
        columns += [_accuracy(f"{above}{student}", f"{student}_{metric}", rows) for student in students]
    return replace(
        table,
        columns=tuple(columns),
        notes=_failures(frame),
        brief=_brief(frame, metric, seeds, ranked=ranked),
        bold=frozenset(),
        underline=frozenset(),
        group="",
    )


def _accuracy(name: str, mean: str, rows: Sequence[tuple[int, ...]]) -> Column:
    source = (f"{mean}_mean_percent", f"{mean}_std_percent", "status")
    return Column(
        name, source, lambda m, std, status: mean_spread(m, std) if known(m) else Cell(_word(status)), rows=rows
    )


def ranked_metric(frame: pd.DataFrame) -> str:
    """Return the metric that a leaderboard ranks by."""
    if "rank_by" in frame:
        return f"top1_{frame['rank_by'].iloc[0]}"
    return next((m for m in METRICS if f"mean_{m}_percent" in frame.columns), "top1_best")


def _students(frame: pd.DataFrame, metric: str) -> list[str]:
    end = f"_{metric}_mean_percent"
    return [c.removesuffix(end) for c in frame.columns if c.endswith(end)]


def _num_runs(frame: pd.DataFrame, students: list[str]) -> int:
    """Return the most students of a kind that a competing method trained at an IPC."""
    own = frame[~frame["reference_row"].astype(bool)]
    return max((int(own[f"{student}_num_runs"].max()) for student in students if len(own)), default=0)


def _order(own: pd.DataFrame, ipcs: list[int], students: list[str], metric: str) -> tuple[bool, int, float]:
    """Sort key: the reference last, methods that lack a number below the others, then by the mean."""
    means = own[[f"{student}_{metric}_mean_percent" for student in students]].to_numpy(dtype=float)
    there = means[means == means]
    lacking = len(ipcs) * len(students) - len(there)
    return bool(own["reference_row"].any()), lacking, -float(there.mean()) if len(there) else 0.0


def _word(status: str) -> str:
    return next(
        (word for word in ("failed", "skipped", "stopped") if word in status.replace("interrupted", "stopped")), DASH
    )


def _failures(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return a line for each method that did not finish, with its IPCs and the reason."""
    bad = frame[frame["status"] != "done"]
    notes = []
    for (name, status, error), own in bad.groupby(["method_title", "status", "error"], sort=False, dropna=False):
        ipcs = ", ".join(str(ipc) for ipc in own["ipc"].dropna())
        notes.append(
            f"{name}{f' at IPC {ipcs}' if ipcs else ''}: {status}{f': {shorten(str(error), _REASON)}' if error else ''}"
        )
    more = [f"and {len(notes) - _MOST_NOTES} more that did not finish"] if len(notes) > _MOST_NOTES else []
    return (*notes[:_MOST_NOTES], *more)


def _brief(frame: pd.DataFrame, metric: str, seeds: int, *, ranked: bool) -> str:
    """Return one line: what is compared, over how many seeds, and what a rank is."""
    sets = int(frame["num_distillation_seeds"].max())
    trained = (
        f"{times(sets, 'distilled set')}, {times(seeds, 'student')} each in all" if sets > 1 else times(seeds, "seed")
    )
    accuracy = said("test accuracy", str(frame["source"].iloc[0]))
    what = f"Top-1 {accuracy} in % {METRICS[metric]}, mean ± std over {trained}."
    if ranked:
        return f"{what} Equal rank: no significant difference (Welch's t, Holm-corrected)."
    if int((~frame["reference_row"].astype(bool)).sum()) < 2 or seeds >= FEW_SEEDS:
        return what
    return f"{what} Fewer than {FEW_SEEDS} seeds: no ranks."
