"""Training curves of students and of what methods fit: from the curves.csv beside each artefact.

In: records and the store. Out: figures by name. An artefact or a curve that is not in the store is counted in a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.core.errors import UserError
from harness.core.paths import is_regular
from harness.core.store import Store
from harness.core.text import known, shorten, times
from harness.reporters.figures.points import rows_with
from harness.reporters.figures.style import Look, facets, frame, grid, label_outer, looks
from harness.reporters.tables.prepare import Scope, scopes, students

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_SHOWN = {
    "top1": ("training_accuracy", "Top-1 accuracy on the test split (%)", "accuracy while students train"),
    "train_loss": ("training_loss", "Training loss (mean of an epoch)", "loss while students train"),
}


Curve = dict[str, np.ndarray]
"""Column -> values, one a logged step."""


def curve_figures(records: pd.DataFrame, store: Store) -> Iterator[tuple[str, Figure]]:
    """Yield (name, figure): training_accuracy and training_loss of every scope, fit_METHOD of every method that logs.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    frame_of_rows = rows_with(records, "train_key", "distilled_key")
    for number, (scope, rows) in enumerate(scopes(frame_of_rows), start=1):
        stem = f"_{number}" if number > 1 else ""
        done = rows[(rows["status"] == "done") & (rows["train_key"] != "")]
        curves = {key: _read(store, "train", key) for key in done["train_key"]}
        for column, (name, axis, title) in _SHOWN.items():
            if any(column in curve for curve in curves.values()):
                yield name + stem, _training_figure(scope, done, curves, column, axis, title)
        for label, own in rows.groupby("label", sort=False):
            fits = _fits(store, own)
            if any(fits.values()):
                yield f"fit_{own.iloc[0]['method']}{stem}" + _variant(rows, own), _fit_figure(scope, str(label), fits)


def _read(store: Store, kind: str, key: str) -> Curve:
    """Return the logged columns of an artefact; empty where it is gone or logged nothing."""
    try:
        path = store.fetch(kind, key) / "curves.csv"
    except FileNotFoundError:
        return {}
    if not is_regular(path):
        return {}
    try:
        table = pd.read_csv(path)
        return {str(c): table[c].to_numpy(dtype=float) for c in table.columns}
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path}: no table of numbers: {shorten(str(error))}") from None


def _variant(rows: pd.DataFrame, own: pd.DataFrame) -> str:
    """Tell apart the files of two configs of one method."""
    labels = list(dict.fromkeys(rows.loc[rows["method"] == own.iloc[0]["method"], "label"]))
    place = labels.index(own.iloc[0]["label"])
    return f"_config{place + 1}" if place else ""


def _training_figure(
    scope: Scope, done: pd.DataFrame, curves: dict[str, Curve], column: str, axis: str, title: str
) -> Figure:
    ipcs = sorted(done["ipc"].dropna().unique()) or [pd.NA]
    names = students(done)
    figure, axes = grid(len(ipcs), len(names), sharex="row", sharey=column == "top1" or "row")
    own, full = done[~done["reference_row"]], done[done["reference_row"]]
    found = looks([*own["label"], *full["label"]])
    for row, ipc in enumerate(ipcs):
        for place, student in enumerate(names):
            ax = axes[row, place]
            ax.set_title(f"{student}, IPC {ipc}" if known(ipc) else student, fontsize=9)
            here = (
                own[(own["student"] == student) & (own["ipc"] == ipc)]
                if known(ipc)
                else full[full["student"] == student]
            )
            for label, group in here.groupby("label", sort=False):
                _draw_seeds(ax, [curves[key] for key in group["train_key"]], "epoch", column, found[str(label)])
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    label_outer(axes.flat, "Epoch", axis)
    shown = own if len(own) else full
    notes = ["Lines: mean over the students of a method; shaded: their smallest to largest value."]
    gone = sum(not curves[key] for key in set(shown["train_key"]))
    notes += [f"{times(gone, 'curve')} not found in the store."] if gone else []
    frame(figure, f"{scope.title}: {title}", scope.caption, notes, _handles(found, dict.fromkeys(shown["label"])))
    return figure


def _fits(store: Store, own: pd.DataFrame) -> dict[str, Curve]:
    """Return the curves of what a method fitted, by a label for each distillation seed and class group."""
    found: dict[str, Curve] = {}
    for _, row in own[own["distilled_key"] != ""].drop_duplicates("distilled_key").iterrows():
        key = row["distilled_key"]
        fits = store.manifest("synthesize", key)["deps"].get("fit", ()) if store.has("synthesize", key) else ()
        for number, fit in enumerate(fits, start=1):
            group = f", class group {number}" if len(fits) > 1 else ""
            found[f"distillation seed {row['distillation_seed']}{group}"] = _read(store, "fit", fit)
    return found


def _fit_figure(scope: Scope, label: str, fits: dict[str, Curve]) -> Figure:
    columns = list(dict.fromkeys(c for curve in fits.values() for c in curve if c != "step"))
    figure, axes = facets(columns, sharex=True)
    found = looks(fits)
    for column, ax in axes.items():
        for name, curve in fits.items():
            if column in curve:
                _draw_seeds(ax, [curve], "step", column, found[name])
    label_outer(axes.values(), "Step", "Logged value")
    notes = ["As the method logged it."]
    shared = Scope(scope.suite, scope.suite_version, scope.source)  # a fit knows no protocol
    frame(figure, f"{scope.suite}: {label} while it is fitted", shared.caption, notes, _handles(found, found))
    return figure


def _draw_seeds(ax: Axes, curves: list[Curve], x: str, column: str, look: Look) -> None:
    """Draw the mean of curves over their common steps, with the range of their values."""
    there = [c for c in curves if column in c and x in c]
    if not there:
        return
    num = min(len(c[x]) for c in there)
    steps, values = there[0][x][:num], np.stack([c[column][:num] for c in there])
    every = max(1, num // 8)
    ax.plot(steps, values.mean(axis=0), color=look.color, marker=look.marker, markevery=every, markersize=4)
    if len(there) > 1:
        ax.fill_between(steps, values.min(axis=0), values.max(axis=0), color=look.color, alpha=0.15, linewidth=0)


def _handles(found: dict[str, Look], labels: Any) -> list[Line2D]:
    return [Line2D([], [], color=found[n].color, marker=found[n].marker, markersize=4, label=n) for n in labels]
