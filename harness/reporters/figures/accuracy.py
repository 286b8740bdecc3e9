"""Accuracy against IPC, distillation time, storage and device-seconds: one figure per scope, one facet per student.

In: records. Out: figures by name. Methods without a result are named below the figure; the full data are a line. On paper
nothing but the plot, its axes and the legend is drawn: all else is in the caption.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from harness.reporters.figures.points import Bars, accuracy_points, bars_note, missing_note
from harness.reporters.figures.scales import set_cost_axis, set_ipc_axis
from harness.reporters.figures.sheet import GREY, SCREEN, Drawing, Sheet
from harness.reporters.figures.style import EDGE, Look, facets, frame, label_outer, legend_handle, looks, marker_sizes
from harness.reporters.tables.accuracies import said
from harness.reporters.tables.prepare import Scope, best_is_last, prepare, scopes
from harness.students.spec import titles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Metric = Literal["best", "last"]


_METRICS = {"best": ("top1_best", "best evaluation"), "last": ("top1_last", "final model")}


_BEST_NOTE = "Best evaluation: the highest test accuracy during training, as papers report it."


_NESTED = (
    "A nested method makes its largest set only; the time of a smaller set is its share of the work per image plus all other "
    "work."
)


_DODGE = 0.06
"""How far points of one IPC are shifted on a screen, at most, as a share of the IPC: 50 is drawn between 47 and 53."""


_BARS_APART = 1.5
"""How far error bars of one IPC are shifted on paper, at most, in points: a bar still crosses its marker."""


@dataclass(frozen=True)
class Against:
    """What the x axis shows: the column of the points, the axis label and a short one, the kind of ticks, and notes."""

    column: str
    label: str
    short: str
    kind: str
    notes: tuple[str, ...] = ()


AGAINST = {
    "ipc": Against("ipc", "Images per class (IPC)", "Images per class (IPC)", "ipc"),
    "time": Against(
        "wall_s",
        "Distillation time (wall clock)",
        "Distillation time",
        "time",
        (f"Time: fit plus synthesize. {_NESTED}",),
    ),
    "bytes": Against(
        "storage_bytes",
        "Storage of the distilled set",
        "Storage",
        "bytes",
        ("Storage excludes generators and teachers.",),
    ),
    "device_seconds": Against(
        "device_s",
        "Distillation time, summed over devices (device-seconds)",
        "Device-seconds",
        "seconds",
        (f"Time: fit plus synthesize. {_NESTED}",),
    ),
}


def accuracy_figures(
    records: pd.DataFrame, *, bars: Bars = "ci95", metric: Metric = "best", sheet: Sheet = SCREEN
) -> Iterator[tuple[str, Drawing]]:
    """Yield (name, figure): accuracy_ipc, accuracy_time, accuracy_bytes, accuracy_device_seconds of every scope.

    A scope without any finished training of a method has no figure.

    Raises:
        UserError: there are no records, or a column is missing.
    """
    for number, (scope, rows) in enumerate(scopes(prepare(records)), start=1):
        column, which = _METRICS[metric]
        points = accuracy_points(rows, column, bars)
        if points["reference_row"].all():
            continue
        best = [said(_BEST_NOTE, scope.source)] if metric == "best" and not best_is_last(rows) else []
        plot = _Plot(scope, points, which, sheet, [bars_note(points, bars)], [*best, *missing_note(rows)])
        for name, against in AGAINST.items():
            if points.loc[~points["reference_row"], against.column].notna().any():
                stem = f"accuracy_{name}" + (f"_{number}" if number > 1 else "")
                yield stem, plot.figure(against)


@dataclass(frozen=True)
class _Plot:
    """What the figures of one scope share: the points, which accuracy they are, and what is said of all of them."""

    scope: Scope
    points: pd.DataFrame
    which: str
    sheet: Sheet
    notes: list[str]
    details: list[str]

    def figure(self, against: Against) -> Drawing:
        """Draw the points against one cost."""
        every, full = (self.points[self.points["reference_row"] == kind] for kind in (False, True))
        own = every[every[against.column].notna()]
        unknown = [label for label in dict.fromkeys(every["label"]) if label not in set(own["label"])]
        figure, axes = facets(self._titles(), self.sheet, sharex=True, sharey=True)
        # A method looks the same in every figure of a run, also where another has no place.
        found = {label: look for label, look in looks(every["label"], self.sheet).items() if label not in unknown}
        sizes = marker_sizes(own["ipc"]) if against.kind != "ipc" else {}
        shifts = self._shifts(own) if against.kind == "ipc" else {}
        for student, ax in zip(dict.fromkeys(self.points["student"]), axes.values(), strict=True):
            for label, look in found.items():
                here = own[(own["student"] == student) & (own["label"] == label)].sort_values("ipc")
                _draw(ax, here, against.column, look, shifts.get(label, _Shift()), sizes)
            for _, line in full[full["student"] == student].iterrows():
                _draw_full(ax, line)
        self._set_axes(list(axes.values()), own, against)
        handles: list[Any] = [legend_handle(label, look) for label, look in found.items()]
        handles += [Line2D([], [], color=GREY, linestyle="--", label=label) for label in dict.fromkeys(full["label"])]
        absent = [f"Not drawn, because the cost is unknown: {', '.join(unknown)}."] if unknown else []
        grown = [f"Larger markers: larger IPC ({', '.join(f'{i:,.0f}' for i in sizes)})."] if len(sizes) > 1 else []
        frame(
            figure,
            self._title(against),
            self.scope.caption,
            [*self.notes, *absent, *grown],
            handles,
            [*self._apart(shifts), *self.details, *against.notes],
        )
        return figure

    def _titles(self) -> list[str]:
        return list(titles_of(dict.fromkeys(self.points["student"])).values())

    def _title(self, against: Against) -> str:
        label = against.label[0].lower() + against.label[1:]
        if self.sheet.is_paper:
            return f"Top-1 accuracy ({self.which}) against {label}; {self.scope.title}"
        return f"{self.scope.title}: accuracy against {label}".replace("images per class (IPC)", "IPC")

    def _set_axes(self, axes: list[Axes], own: pd.DataFrame, against: Against) -> None:
        for ax in axes:
            if against.kind == "ipc":
                set_ipc_axis(ax, own["ipc"])
            else:
                set_cost_axis(ax, own[against.column], against.kind, self.sheet.most_ticks[len(axes) > 1])
        _limit(axes[0])
        axes[0].yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        if self.sheet.is_paper:
            label_outer(axes, against.short, "Top-1 accuracy (%)")
        else:
            label_outer(axes, against.label, f"Top-1 accuracy, {self.which} (%)")

    def _shifts(self, own: pd.DataFrame) -> dict[str, _Shift]:
        """Return what sets the methods of one IPC apart: on a screen their points, on paper the error bars alone."""
        labels, ipcs = list(dict.fromkeys(own["label"])), sorted(set(own["ipc"]))
        gap = min((np.log(b / a) for a, b in itertools.pairwise(ipcs)), default=np.log(1.5) * 2)
        half = min(gap / 5, 0.03 * (len(labels) - 1), _DODGE)
        places = np.linspace(-1, 1, len(labels)) if len(labels) > 1 else np.zeros(1)
        if self.sheet.is_paper:
            most = min(_BARS_APART, 0.4 * (len(labels) - 1))
            return {label: _Shift(bar=float(most * place)) for label, place in zip(labels, places, strict=True)}
        return {label: _Shift(point=float(np.exp(half * place))) for label, place in zip(labels, places, strict=True)}

    def _apart(self, shifts: dict[str, _Shift]) -> list[str]:
        if len(shifts) < 2:
            return []
        if self.sheet.is_paper:
            return ["Points are at their exact IPC; error bars are shifted sideways within the marker."]
        return ["Points of one IPC are shifted sideways by up to 6 % so that they do not overlap."]


@dataclass(frozen=True)
class _Shift:
    """How far the points (a factor of x) and the error bars (points of 1/72 inch) of a method are moved sideways."""

    point: float = 1.0
    bar: float = 0.0


def _draw(ax: Axes, here: pd.DataFrame, column: str, look: Look, shift: _Shift, sizes: dict[float, float]) -> None:
    """Draw the points of one method, joined in the order of IPC, with their error bars."""
    x, y = here[column].to_numpy(dtype=float) * shift.point, here["mean"].to_numpy(dtype=float)
    low, high = (here[name].fillna(here["mean"]).to_numpy(dtype=float) for name in ("low", "high"))
    ax.plot(x, y, color=look.color, linestyle=look.line, alpha=0.7, zorder=2)
    has_bar = here["low"].notna().to_numpy(dtype=bool)
    bars = ax.vlines(
        x[has_bar], low[has_bar], high[has_bar], color=look.color, linewidth=mpl.rcParams["lines.linewidth"], zorder=2.5
    )
    if shift.bar:
        figure = ax.get_figure(root=True)
        assert figure is not None
        bars.set_transform(ax.transData + ScaledTranslation(shift.bar / 72, 0, figure.dpi_scale_trans))
    area = [sizes.get(ipc, 1.0) * mpl.rcParams["lines.markersize"] ** 2 for ipc in here["ipc"]]
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
