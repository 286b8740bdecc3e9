"""Measured against published accuracy: one figure per scope, one facet per student, a point where both numbers exist.

In: records. Out: figures by name. Which published numbers may be compared is decided in
harness/reporters/tables/published_comparison.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from harness.core.text import times
from harness.reporters.figures.points import Bars
from harness.reporters.figures.sheet import GREY, SCREEN, Drawing, Sheet
from harness.reporters.figures.style import EDGE, Look, facets, frame, label_outer, legend_handle, looks, marker_sizes
from harness.reporters.published_numbers import PublishedNumber
from harness.reporters.tables.prepare import Scope, prepare, scopes
from harness.reporters.tables.published_comparison import published
from harness.reporters.tables.table import Table
from harness.students.spec import titles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_BARS = {
    "ci95": "Vertical bars: 95 % confidence interval of the measured mean (Student's t)",
    "std": "Vertical bars: one sample standard deviation of the measured runs",
}


def beside_figures(
    records: pd.DataFrame,
    *,
    bars: Bars = "ci95",
    numbers: Sequence[PublishedNumber] | None = None,
    sheet: Sheet = SCREEN,
) -> Iterator[tuple[str, Drawing]]:
    """Yield (name, figure): published, published_2, ...; none for a scope in which nothing can be compared.

    Args:
        records: as `harness.load_results` returns them.
        bars: of what was measured; what was published has its standard deviation.
        numbers: published numbers; None: those of results/published.
        sheet: what the figures are for.

    Raises:
        UserError: no published number is known for a suite, there are no records, or a column is missing.
    """
    tables: list[Table] = published(records, numbers)  # type: ignore[call-arg]
    for number, ((scope, _), table) in enumerate(zip(scopes(prepare(records)), tables, strict=True), start=1):
        points = table.frame[table.frame["num_runs"] > 0]
        if len(points):
            yield "published" + (f"_{number}" if number > 1 else ""), _figure(scope, points, bars, sheet)


def _figure(scope: Scope, points: pd.DataFrame, bars: Bars, sheet: Sheet) -> Drawing:
    students = list(dict.fromkeys(points["student"]))
    figure, axes = facets(list(titles_of(students).values()), sheet, sharex=True, sharey=True)
    found, sizes = looks(points["method"], sheet), marker_sizes(points["ipc"])
    low, high = _ends(points, bars)
    points = points.assign(low=low, high=high)
    for student, ax in zip(students, axes.values(), strict=True):
        ax.axline((50, 50), slope=1, color=GREY, linestyle="--", linewidth=1, zorder=1)
        for label, look in found.items():
            _draw(ax, points[(points["student"] == student) & (points["method"] == label)], look, sizes)
    _limit(next(iter(axes.values())), points)
    label_outer(axes.values(), "Published top-1 accuracy (%)", "Measured top-1 accuracy (%)")
    # Points are not joined, so the legend shows no line for a method.
    handles: list[Any] = [legend_handle(label, replace(look, line="none")) for label, look in found.items()]
    handles.append(Line2D([], [], color=GREY, linestyle="--", label="Measured = published"))
    title = "Measured against published accuracy"
    title = f"{title}; {scope.title}" if sheet.is_paper else f"{scope.title}: {title[0].lower()}{title[1:]}"
    frame(figure, title, scope.caption, _notes(points, bars, sizes), handles)
    return figure


def _ends(points: pd.DataFrame, bars: Bars) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the vertical bars; NaN for a single run."""
    if bars == "ci95":
        return points["low_percent"].to_numpy(dtype=float), points["high_percent"].to_numpy(dtype=float)
    mean, std = points["measured_mean_percent"], points["measured_std_percent"]
    return (mean - std).to_numpy(dtype=float), (mean + std).to_numpy(dtype=float)


def _draw(ax: Axes, here: pd.DataFrame, look: Look, sizes: dict[float, float]) -> None:
    x, y = here["published_mean_percent"].to_numpy(dtype=float), here["measured_mean_percent"].to_numpy(dtype=float)
    std = here["published_std_percent"].to_numpy(dtype=float)
    bar: dict[str, Any] = {"color": look.color, "linewidth": 1.1, "zorder": 2}
    ax.vlines(x, here["low"], here["high"], **bar)
    ax.hlines(y, x - std, x + std, **bar)
    area = [20 * sizes.get(float(ipc), 1.0) if ipc is not pd.NA else 20 for ipc in here["ipc"]]
    ax.scatter(x, y, s=area, color=look.color, marker=look.marker, zorder=3, **EDGE)


def _limit(ax: Axes, points: pd.DataFrame) -> None:
    """Give both axes one range, within 0 to 100 %, so that the diagonal means equal."""
    std = points["published_std_percent"].fillna(0)
    ends = [points["low"], points["high"], points["measured_mean_percent"]]
    ends += [points["published_mean_percent"] - std, points["published_mean_percent"] + std]
    every = pd.concat(ends).dropna()
    low, high = max(0.0, float(every.min()) - 2), min(100.0, float(every.max()) + 2)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)


def _notes(points: pd.DataFrame, bars: Bars, sizes: dict[float, float]) -> list[str]:
    runs = sorted(set(points["num_runs"]))
    over = f"n = {runs[0]}" if len(runs) == 1 else f"n = {runs[0]} to {runs[-1]}"
    single = "; a point of one student has no bar" if points["low"].isna().any() else ""
    cut = "; clipped at 0 and 100 %" if (points["high"] > 100).any() or (points["low"] < 0).any() else ""
    compared = points["inside"].dropna()
    notes = [
        f"{_BARS[bars]} over {over} {'student' if runs[-1] == 1 else 'students'} per point{single}{cut}.",
        "Horizontal bars: one standard deviation, as published.",
    ]
    if len(compared):
        share = f"{int(compared.sum())} of {times(len(compared), 'published mean')}"
        notes.append(
            f"{share} are within our 95 % confidence interval. Published means vary too: an exact repetition also misses some."
        )
    if len(sizes) > 1:
        notes.append(f"Larger markers: larger IPC ({', '.join(f'{ipc:,.0f}' for ipc in sizes)}).")
    return notes
