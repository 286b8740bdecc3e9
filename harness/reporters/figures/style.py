"""How every figure looks: colours and markers of methods, a grid of facets, the legend outside, files with equal bytes.

In: labels and axes. Out: PNG and PDF. Matplotlib's defaults stand in while a figure is drawn, whatever a user's
matplotlibrc says, and its settings are as before afterwards.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.core.io import replaced
from harness.core.paths import plain_name
from harness.core.text import known

if TYPE_CHECKING:
    from matplotlib.axes import Axes


DPI = 150


FACET = (3.7, 2.9)
"""Width and height of one facet with its labels, inches."""


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
"""Eleven, beside ten colours: no pair is used twice before the hundred-and-eleventh method."""


GREY = "#555555"


EDGE: dict[str, Any] = {"edgecolor": "#333333", "linewidth": 0.4}
"""Of markers: pale colours stand out from the paper."""


_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "text.parse_math": False,  # a method called "a$b" is no formula
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 5.5,
    "figure.dpi": DPI,
    "pdf.fonttype": 42,  # text stays text
}


@dataclass(frozen=True)
class Look:
    """Colour (hex) and marker of one method or class; the two differ together, so that no reader needs the colour."""

    color: str
    marker: str


@contextmanager
def style() -> Iterator[None]:
    """Set the look of figures within the block only."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return the look of each label, by order of appearance; the palette is seaborn's for colour-blind readers."""
    colors = sns.color_palette("colorblind").as_hex()
    found = list(dict.fromkeys(labels))
    return {label: Look(colors[i % len(colors)], MARKERS[i % len(MARKERS)]) for i, label in enumerate(found)}


def legend_handle(label: str, look: Look) -> Line2D:
    """Return what stands for a method in the legend."""
    return Line2D(
        [], [], color=look.color, marker=look.marker, markeredgecolor="#333333", markeredgewidth=0.4, label=label
    )


def marker_sizes(ipcs: Iterable[Any]) -> dict[float, float]:
    """Return how much larger the marker of each known IPC is, from 1 to 3 times the area."""
    values = sorted({float(ipc) for ipc in ipcs if known(ipc)})
    return {ipc: 1 + 2 * place / max(1, len(values) - 1) for place, ipc in enumerate(values)}


def grid(rows: int, columns: int, **options: Any) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes [rows, columns]; options are those of `Figure.subplots`."""
    width, height = FACET
    figure = Figure(figsize=(columns * width, rows * height))
    axes = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": 1, "wspace": 0.14, "hspace": 0.32},
        **options,
    )
    return figure, axes


def facets(names: Sequence[str], **options: Any) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with one facet per name, three in a row, and the axes by name."""
    columns = min(3, len(names))
    figure, axes = grid(-(-len(names) // columns), columns, **options)
    flat = list(axes.flat)
    for unused in flat[len(names) :]:
        unused.remove()
    found = dict(zip(names, flat, strict=False))
    for place, (name, ax) in enumerate(found.items()):
        ax.set_title(name, fontsize=9)
        if place + columns >= len(names):  # nothing stands below it
            ax.tick_params(labelbottom=True)
    return figure, found


def label_outer(axes: Iterable[Axes], x: str, y: str) -> None:
    """Name the axes once: x below every facet with nothing below it, y at the left of each row."""
    for ax in axes:
        spec = ax.get_subplotspec()
        assert spec is not None
        below = any(
            (other := o.get_subplotspec()) is not None
            and other.colspan == spec.colspan
            and other.rowspan.start > spec.rowspan.start
            for o in ax.figure.axes
        )
        ax.set_xlabel("" if below else x)
        ax.set_ylabel(y if spec.is_first_col() else "")


def frame(figure: Figure, title: str, subtitle: str, notes: Sequence[str], handles: Sequence[Any]) -> None:
    """Set title above, legend at the right, notes below; `save` grows the page to hold them and keeps the title."""
    width, height = figure.get_size_inches()
    chars = max(60, round(width * 14))
    lines = _wrapped(subtitle, chars)
    above = 0.32 + 0.17 * (lines.count("\n") + 1)
    figure.set_label(title)
    figure.text(0, 1 + above / height, title, fontsize=12, va="bottom")  # not bold: PDFs embed each face of a font
    figure.text(0, 1 + 0.3 / height, lines, fontsize=8, color=GREY, va="bottom")
    text = "\n".join(_wrapped(note, chars) for note in notes)
    figure.text(0, -0.5 / height, text, fontsize=7.5, color=GREY, va="top")
    if handles:
        for handle in handles:
            handle.set_label(_wrapped(str(handle.get_label()), 32))
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(1 + 0.12 / width, 1), borderaxespad=0)


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write NAME.png and NAME.pdf, without a date, each there whole or not at all; return their paths."""
    box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()).padded(0.15)  # once, for both files
    name = plain_name(name)
    paths = (folder / f"{name}.png", folder / f"{name}.pdf")
    undated: tuple[dict[str, Any], ...] = ({"Software": None}, {"CreationDate": None})
    for path, metadata in zip(paths, undated, strict=True):
        about = metadata | {"Title": figure.get_label()}
        with replaced(path) as part:
            figure.savefig(part, format=path.suffix.removeprefix("."), dpi=DPI, bbox_inches=box, metadata=about)
    return paths


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width)) or text
