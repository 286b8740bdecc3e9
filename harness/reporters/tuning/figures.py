"""Figures of a tuning: accuracy by trial, importance of options, parallel coordinates, accuracy against distillation time.

In: the frame of trials. Out: figures by name, a facet or a figure per method.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.core.text import DASH
from harness.reporters.figures.sheet import GREY, Drawing
from harness.reporters.figures.style import EDGE, facets, frame, looks, save, style
from harness.reporters.tuning.importance import importance
from harness.reporters.tuning.tables import pareto, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WHAT = "Accuracy on the validation part of the training split; the test split was not opened."

_STATUS = {"done": ("o", "whole trial"), "stopped": ("v", "stopped early")}

_PAPER: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
"""Behind a text that lines cross."""

Options = Mapping[str, Sequence[str]]
"""Columns METHOD.OPTION of each method that has any."""


def write_figures(folder: Path, name: str, trials: pd.DataFrame, options: Options, *, time: bool) -> None:
    """Write all figures of a tuning as PNG, PDF and SVG; the arguments are those of `tuning_figures`."""
    folder.mkdir(exist_ok=True)
    with style():
        for stem, figure in tuning_figures(name, trials, options, time=time):
            save(figure, folder, stem)


def tuning_figures(name: str, trials: pd.DataFrame, options: Options, *, time: bool) -> Iterator[tuple[str, Figure]]:
    """Yield (name, figure).

    Args:
        name: of the tuning.
        trials: all of them.
        options: what was tuned, by method.
        time: distillation time is an objective too.
    """
    scored = trials[trials["score"].notna()]
    own = {method: scored[scored["method"] == method] for method in options}
    own = {method: rows for method, rows in own.items() if len(rows)}
    if not own:
        return
    yield "trials", _trials(name, own)
    found = {method: importance(rows, list(options[method])) for method, rows in own.items()}
    if shown := {method: one for method, one in found.items() if one.values}:
        yield "importance", _importance(name, shown)
    for method, rows in own.items():
        if len(rows) > 1:
            yield f"parallel_{method}", _parallel(name, method, rows, list(options[method]))
    if time:
        yield "pareto", _pareto(name, own)


def _trials(name: str, own: Mapping[str, pd.DataFrame]) -> Figure:
    figure, axes = facets(list(own), sharey=True)
    color = looks(["trial"])["trial"].color
    for method, ax in axes.items():
        rows = own[method].sort_values("number")
        for status, (marker, _) in _STATUS.items():
            here = rows[rows["status"] == status]
            ax.scatter(here["number"], here["score"], marker=marker, s=26, color=color, **EDGE)
        whole = rows[rows["status"] == "done"]
        ax.step(whole["number"], whole["score"].cummax(), where="post", color=GREY, zorder=1)
        if (default := rows[rows["number"] == 0]["score"]).size:
            ax.axhline(float(default.iloc[0]), color=GREY, linestyle=":", linewidth=1)
        ax.set_xlabel("Trial")
        ax.set_ylabel("Accuracy (%)")
    handles = [
        Line2D([], [], linestyle="", marker=m, color=color, label=label) for m, label in list(_STATUS.values())[:2]
    ]
    handles += [Line2D([], [], color=GREY, label="best so far")]
    handles += [Line2D([], [], color=GREY, linestyle=":", label="default (trial 0)")]
    early = "The accuracy of a trial that was stopped early is the mean of its first records only."
    frame(figure, f"{name}: accuracy by trial", _WHAT, [early], handles)
    return figure


def _importance(name: str, found: Mapping[str, Any]) -> Figure:
    figure, axes = facets(list(found))
    for method, ax in axes.items():
        values = dict(sorted(found[method].values.items(), key=lambda item: item[1]))
        ax.barh([_bare(option, method) for option in values], list(values.values()), color="#7a9cc6", **EDGE)
        ax.set_xlim(0, 1)
        ax.set_xlabel("Importance")
    notes = [f"{method}: {one.how}." for method, one in found.items()]
    few = "From so few trials an importance is a hint, not a finding."
    frame(figure, f"{name}: importance of options", _WHAT, [*notes, few], [])
    return figure


def _bare(option: str, method: str) -> str:
    return option.removeprefix(f"{method}.")


def _parallel(name: str, method: str, rows: pd.DataFrame, options: list[str]) -> Figure:
    """Return a line per trial across its options, from pale (worst) to dark (best); the best whole trial stands out."""
    import matplotlib as mpl

    figure = Drawing(figsize=(max(3.7, 1.5 * (len(options) + 1)), 2.9))
    ax: Axes = figure.subplots(gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": 1})
    axes = [_axis(rows[option]) for option in options] + [_axis(rows["score"])]
    scores = rows["score"].to_numpy(dtype=float)
    spread = np.ptp(scores) or 1.0
    whole = np.where(rows["status"] == "done", scores, -np.inf)
    colors = mpl.colormaps["viridis_r"]
    for i in np.argsort(scores):
        best = i == int(np.argmax(whole))
        shade = colors(0.1 + 0.9 * (scores[i] - scores.min()) / spread)
        places = [heights[i] for heights, _ in axes]
        ax.plot(range(len(axes)), places, color=shade, linewidth=2.4 if best else 0.9, alpha=1 if best else 0.7)
    for x, (_, ends) in enumerate(axes):
        ax.axvline(x, color=GREY, linewidth=0.8, zorder=0)
        for height, text in ends:
            ax.text(x + 0.02, height, text, fontsize=7, va="center", color=GREY, bbox=_PAPER, zorder=5)
    ax.set_xticks(range(len(axes)), [*(_bare(option, method) for option in options), "accuracy (%)"])
    ax.set_yticks([])
    ax.grid(visible=False)
    notes = ["A line is a trial, dark where its accuracy is high; the thick one is the best whole trial."]
    frame(figure, f"{name}: options of {method}", _WHAT, notes, [])
    return figure


def _axis(values: pd.Series) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Return heights between 0 and 1 of the values on their axis, and what is written where on it."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = values.to_numpy(dtype=float)
        low, high = np.nanmin(numbers), np.nanmax(numbers)
        if low > 0 and high / low > 20:
            numbers = np.log(numbers)
        heights = (numbers - np.nanmin(numbers)) / (np.ptp(numbers) or 1.0)
        return heights, [(0.0, short(float(low))), (1.0, short(float(high)))] if high > low else [
            (0.0, short(float(low)))
        ]
    texts = [json.dumps(value, default=str) for value in values]
    names = sorted(set(texts))
    places = {text: i / max(1, len(names) - 1) for i, text in enumerate(names)}
    return np.array([places[text] for text in texts]), [(height, text.strip('"')) for text, height in places.items()]


def _pareto(name: str, own: Mapping[str, pd.DataFrame]) -> Figure:
    figure, axes = facets(list(own), sharey=True)
    color = looks(["trial"])["trial"].color
    for method, ax in axes.items():
        rows = own[method][own[method]["status"] == "done"]
        front = rows.loc[pareto(rows)]
        ax.scatter(rows["time_s"], rows["score"], s=22, color=color, alpha=0.6, **EDGE)
        ax.step(front["time_s"], front["score"], where="post", color="#d55e00", marker="o", markersize=4)
        ax.set_xlabel("Distillation (device-seconds)")
        ax.set_ylabel("Accuracy (%)")
    handles = [Line2D([], [], color="#d55e00", marker="o", label="Pareto front")]
    frame(
        figure,
        f"{name}: accuracy against distillation time",
        _WHAT,
        [f"Whole trials only {DASH} one point each."],
        handles,
    )
    return figure
