"""Accuracy against IPC, distillation time, storage and device-seconds: one figure per scope, one facet per student.

In: records. Out: figures by name. Methods without a result are named below the figure; the full data are a line.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.reporters.figures.points import Bars, accuracy_points, bars_note, missing_note
from harness.reporters.figures.scales import set_cost_axis, set_ipc_axis
from harness.reporters.figures.style import (
    EDGE,
    GREY,
    Look,
    facets,
    frame,
    label_outer,
    legend_handle,
    looks,
    marker_sizes,
)
from harness.reporters.tables.prepare import Scope, best_is_last, prepare, scopes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Metric = Literal["best", "last"]


_METRICS = {
    "best": ("top1_best", "Top-1 accuracy, best evaluation (%)"),
    "last": ("top1_last", "Top-1 accuracy, final model (%)"),
}


_BEST_NOTE = "Best: the highest of the evaluations during training, chosen on the test split, as papers report it."


_NESTED = (
    "A method whose smaller sets are parts of its largest made the largest only; a smaller one shows the work that does "
    "not grow with the images and its share of the work that does."
)


@dataclass(frozen=True)
class Against:
    """What stands on the x axis: the column of the points, the axis label, the kind of ticks, and what must be said."""

    column: str
    label: str
    kind: str
    notes: tuple[str, ...] = ()


AGAINST = {
    "ipc": Against("ipc", "Images per class (IPC)", "ipc"),
    "time": Against("wall_s", "Distillation time (wall clock)", "time", (f"Fit plus synthesize. {_NESTED}",)),
    "bytes": Against(
        "storage_bytes", "Storage of the distilled set", "bytes", ("Generators and teachers are not counted.",)
    ),
    "device_seconds": Against(
        "device_s",
        "Distillation time, summed over devices (device-seconds)",
        "seconds",
        (f"Fit plus synthesize. {_NESTED}",),
    ),
}


def accuracy_figures(
    records: pd.DataFrame, *, bars: Bars = "ci95", metric: Metric = "best"
) -> Iterator[tuple[str, Figure]]:
    """Yield (name, figure): accuracy_ipc, accuracy_time, accuracy_bytes, accuracy_device_seconds of every scope.

    A scope without any finished training of a method has no figure.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    for number, (scope, rows) in enumerate(scopes(prepare(records)), start=1):
        column, axis = _METRICS[metric]
        points = accuracy_points(rows, column, bars)
        if points["reference_row"].all():
            continue
        notes = [
            bars_note(points, bars),
            *([_BEST_NOTE] if metric == "best" and not best_is_last(rows) else []),
            *missing_note(rows),
        ]
        for name, against in AGAINST.items():
            if points.loc[~points["reference_row"], against.column].notna().any():
                stem = f"accuracy_{name}" + (f"_{number}" if number > 1 else "")
                yield stem, _figure(scope, points, against, axis, notes)


def _figure(scope: Scope, points: pd.DataFrame, against: Against, axis: str, notes: list[str]) -> Figure:
    every, full = points[~points["reference_row"]], points[points["reference_row"]]
    own = every[every[against.column].notna()]
    unknown = [label for label in dict.fromkeys(every["label"]) if label not in set(own["label"])]
    figure, axes = facets(list(dict.fromkeys(points["student"])), sharex=True, sharey=True)
    # A method looks the same in every figure of a run, also where another has no place.
    found = {label: look for label, look in looks(every["label"]).items() if label not in unknown}
    sizes = marker_sizes(own["ipc"]) if against.kind != "ipc" else {}
    shifts = _shifts(own) if against.kind == "ipc" else {}
    for student, ax in axes.items():
        for label, look in found.items():
            here = own[(own["student"] == student) & (own["label"] == label)].sort_values("ipc")
            _draw(ax, here, against.column, look, shifts.get(label, 1.0), sizes)
        for _, line in full[full["student"] == student].iterrows():
            _draw_full(ax, line)
    for ax in axes.values():
        if against.kind == "ipc":
            set_ipc_axis(ax, own["ipc"])
        else:
            set_cost_axis(ax, own[against.column], against.kind)
    _limit(next(iter(axes.values())))
    label_outer(axes.values(), against.label, axis)
    handles: list[Any] = [legend_handle(label, look) for label, look in found.items()]
    handles += [Line2D([], [], color=GREY, linestyle="--", label=label) for label in dict.fromkeys(full["label"])]
    apart = ["Points of one IPC stand a little apart."] if len(shifts) > 1 else []
    absent = [f"Not drawn, as the cost is not known: {', '.join(unknown)}."] if unknown else []
    grown = [f"Larger markers: larger IPC ({', '.join(f'{i:,.0f}' for i in sizes)})."] if len(sizes) > 1 else []
    title = f"{scope.title}: accuracy against {against.label[0].lower() + against.label[1:]}"
    frame(
        figure,
        title.replace("images per class (IPC)", "IPC"),
        scope.caption,
        [*notes, *apart, *absent, *grown, *against.notes],
        handles,
    )
    return figure


def _draw(ax: Axes, here: pd.DataFrame, column: str, look: Look, shift: float, sizes: dict[float, float]) -> None:
    """Draw the points of one method, joined in the order of IPC, with their error bars."""
    x, y = here[column].to_numpy(dtype=float) * shift, here["mean"].to_numpy(dtype=float)
    low, high = (here[name].fillna(here["mean"]).to_numpy(dtype=float) for name in ("low", "high"))
    ax.plot(x, y, color=look.color, alpha=0.7, zorder=2)
    has_bar = here["low"].notna().to_numpy(dtype=bool)
    ax.vlines(x[has_bar], low[has_bar], high[has_bar], color=look.color, linewidth=1.1, zorder=2.5)
    area = [sizes.get(ipc, 1.0) * 32 for ipc in here["ipc"]]
    ax.scatter(x, y, s=area, color=look.color, marker=look.marker, zorder=3, **EDGE)


def _limit(ax: Axes) -> None:
    """Keep the accuracy axis within 0 to 100 %, and at least four points wide: chance should not fill a figure."""
    low, high = ax.get_ylim()
    wider = max(0.0, 4 - (high - low)) / 2
    ax.set_ylim(max(low - wider, -0.5), min(high + wider, 100.5))


def _draw_full(ax: Axes, line: pd.Series) -> None:
    ax.axhline(line["mean"], color=GREY, linestyle="--", linewidth=1, zorder=1.5)
    if not np.isnan(line["low"]):
        ax.axhspan(line["low"], line["high"], color=GREY, alpha=0.12, linewidth=0, zorder=1)


def _shifts(own: pd.DataFrame) -> dict[str, float]:
    """Return factors that set methods apart at one IPC, by 7 % each and never near the next IPC."""
    labels, ipcs = list(dict.fromkeys(own["label"])), sorted(set(own["ipc"]))
    gap = min((np.log(b / a) for a, b in itertools.pairwise(ipcs)), default=np.log(1.5) * 2)
    half = min(gap / 5, 0.035 * (len(labels) - 1))
    places = np.linspace(-half, half, len(labels))
    return {label: float(np.exp(place)) for label, place in zip(labels, places, strict=True)}
