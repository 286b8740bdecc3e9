"""Training curves of students and of what methods fit: from the curves.csv beside each artefact.

In: records and the store. Out: figures by name. An artefact or a curve that is not in the store is counted in a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.core.errors import UserError
from harness.core.paths import is_regular
from harness.core.store import Store
from harness.core.text import known, shorten, times
from harness.reporters.figures.points import rows_with
from harness.reporters.figures.sheet import SCREEN, Drawing, Sheet
from harness.reporters.figures.style import Look, facets, frame, grid, label_outer, looks
from harness.reporters.tables.accuracies import said
from harness.reporters.tables.prepare import Scope, scopes, students
from harness.students.spec import titles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_SHOWN = {
    "top1": (
        "training_accuracy",
        "Top-1 accuracy on the test split (%)",
        "Top-1 accuracy (%)",
        "accuracy while students train",
    ),
    "train_loss": ("training_loss", "Training loss (mean of an epoch)", "Training loss", "loss while students train"),
}
"""Column -> name of the figure, label of the y axis on a screen and on paper, title."""


FEW = 5
"""A curve of fewer points is drawn as points: a line between two says nothing of what lies between."""


Curve = dict[str, np.ndarray]
"""Column -> values, one a logged step."""


def curve_figures(records: pd.DataFrame, store: Store, *, sheet: Sheet = SCREEN) -> Iterator[tuple[str, Drawing]]:
    """Yield (name, figure): training_accuracy and training_loss of every scope, fit_METHOD of every method that logs.

    On a screen a figure has a row for each IPC; for paper each IPC is a figure of its own, training_accuracy_ipc10.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    frame_of_rows = rows_with(records, "train_key", "distilled_key")
    for number, (scope, rows) in enumerate(scopes(frame_of_rows), start=1):
        stem = f"_{number}" if number > 1 else ""
        done = rows[(rows["status"] == "done") & (rows["train_key"] != "")]
        curves = {key: _read(store, "train", key) for key in done["train_key"]}
        ipcs = sorted(done["ipc"].dropna().unique()) or [pd.NA]
        for column, (name, *_) in _SHOWN.items():
            if not any(column in curve for curve in curves.values()):
                continue
            if sheet.is_paper:
                for ipc in ipcs:
                    figure = _of_one_ipc(scope, done, curves, column, ipc, sheet)
                    yield name + (f"_ipc{ipc}" if known(ipc) else "") + stem, figure
            else:
                yield name + stem, _of_every_ipc(scope, done, curves, column, ipcs)
        for label, own in rows.groupby("label", sort=False):
            fits = _fits(store, own)
            if any(fits.values()):
                figure = _fit_figure(scope, str(label), fits, sheet)
                yield f"fit_{own.iloc[0]['method']}{stem}" + _variant(rows, own), figure


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


def _of_every_ipc(scope: Scope, done: pd.DataFrame, curves: dict[str, Curve], column: str, ipcs: list[Any]) -> Drawing:
    """Draw a row of facets for each IPC, one for each student."""
    _, axis, _, title = _SHOWN[column]
    names = students(done)
    titles = titles_of(names)
    figure, axes = grid(len(ipcs), len(names), sharex="row", sharey=column == "top1" or "row")
    found = _looks(done, SCREEN)
    for row, ipc in enumerate(ipcs):
        for place, student in enumerate(names):
            axes[row, place].set_title(f"{titles[student]}, IPC {ipc}" if known(ipc) else titles[student])
            _draw_methods(axes[row, place], done, student, ipc, curves, column, found)
    label_outer(axes.flat, "Epoch", said(axis, scope.source))
    drawn = _drawn(done)
    frame(
        figure, f"{scope.title}: {title}", scope.caption, _notes(drawn, curves, column),
        _handles(found, dict.fromkeys(drawn["label"])),
    )  # fmt: skip
    return figure


def _of_one_ipc(
    scope: Scope, done: pd.DataFrame, curves: dict[str, Curve], column: str, ipc: Any, sheet: Sheet
) -> Drawing:
    """Draw a facet for each student."""
    _, _, axis, title = _SHOWN[column]
    names = students(done)
    figure, axes = facets(list(titles_of(names).values()), sheet, sharex=True, sharey=True)
    found = _looks(done, sheet)
    for student, ax in zip(names, axes.values(), strict=True):
        _draw_methods(ax, done, student, ipc, curves, column, found)
        ax.xaxis.set_major_locator(MaxNLocator(sheet.most_ticks[len(names) > 1] + 1, integer=True))
    label_outer(axes.values(), "Epoch", axis)
    drawn = _drawn(done)
    drawn = drawn[drawn["ipc"] == ipc] if known(ipc) else drawn
    title = f"{title[0].upper()}{title[1:]}" + (f", {ipc} images per class" if known(ipc) else "")
    frame(
        figure, f"{title}; {scope.title}", scope.caption, _notes(drawn, curves, column),
        _handles(found, dict.fromkeys(drawn["label"])),
    )  # fmt: skip
    return figure


def _looks(done: pd.DataFrame, sheet: Sheet) -> dict[str, Look]:
    """Return the looks of all methods of a scope, the full data last, so that a method looks the same at every IPC."""
    own, full = done[~done["reference_row"]], done[done["reference_row"]]
    return looks([*own["label"], *full["label"]], sheet)


def _drawn(done: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of methods; of the full data where there are no others."""
    own = done[~done["reference_row"]]
    return own if len(own) else done


def _draw_methods(
    ax: Axes, done: pd.DataFrame, student: str, ipc: Any, curves: dict[str, Curve], column: str, found: dict[str, Look]
) -> None:
    here = done[done["student"] == student]
    here = here[~here["reference_row"] & (here["ipc"] == ipc)] if known(ipc) else here[here["reference_row"]]
    for label, group in here.groupby("label", sort=False):
        _draw_seeds(ax, [curves[key] for key in group["train_key"]], "epoch", column, found[str(label)])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _notes(drawn: pd.DataFrame, curves: dict[str, Curve], column: str) -> list[str]:
    keys = set(drawn["train_key"])
    most = max((len(curves[key].get(column, ())) for key in keys), default=0)
    what = (
        "Points: mean over the students of a method; bars"
        if most < FEW
        else "Lines: mean over the students of a method; bands"
    )
    notes = [f"{what}: smallest to largest value."]
    gone = sum(not curves[key] for key in keys)
    return notes + ([f"{times(gone, 'curve')} not found in the store."] if gone else [])


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


def _fit_figure(scope: Scope, label: str, fits: dict[str, Curve], sheet: Sheet) -> Drawing:
    columns = list(dict.fromkeys(c for curve in fits.values() for c in curve if c != "step"))
    figure, axes = facets(columns, sheet, sharex=True)
    found = looks(fits, sheet)
    for column, ax in axes.items():
        for name, curve in fits.items():
            if column in curve:
                _draw_seeds(ax, [curve], "step", column, found[name])
    label_outer(axes.values(), "Step", "Logged value")
    notes = ["Values as the method logs them."]
    shared = Scope(scope.suite, scope.suite_version, scope.source)  # a fit knows no protocol
    title = f"Fit of {label}; {scope.suite}" if sheet.is_paper else f"{scope.suite}: fit of {label}"
    frame(figure, title, shared.caption, notes, _handles(found, found))
    return figure


def _draw_seeds(ax: Axes, curves: list[Curve], x: str, column: str, look: Look) -> None:
    """Draw the mean of curves over their common steps, with the range of their values; few steps as points."""
    there = [c for c in curves if column in c and x in c]
    if not there:
        return
    num = min(len(c[x]) for c in there)
    steps, values = there[0][x][:num], np.stack([c[column][:num] for c in there])
    few = num < FEW
    size = mpl.rcParams["lines.markersize"] * (0.9 if few else 0.7)
    ax.plot(
        steps, values.mean(axis=0), color=look.color, marker=look.marker, linestyle="none" if few else look.line,
        markevery=max(1, num // 8), markersize=size,
    )  # fmt: skip
    if len(there) > 1 and few:
        ax.vlines(steps, values.min(axis=0), values.max(axis=0), color=look.color, linewidth=0.9)
    elif len(there) > 1:
        ax.fill_between(steps, values.min(axis=0), values.max(axis=0), color=look.color, alpha=0.15, linewidth=0)


def _handles(found: dict[str, Look], labels: Any) -> list[Line2D]:
    return [
        Line2D([], [], color=look.color, marker=look.marker, linestyle=look.line, markersize=4, label=name)
        for name, look in ((name, found[name]) for name in labels)
    ]
