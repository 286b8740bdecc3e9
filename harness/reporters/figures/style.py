"""How every figure looks: colours and markers of methods, a grid of facets, the legend outside, files with equal bytes.

In: labels and axes. Out: files. Matplotlib's defaults stand in while a figure is drawn, whatever a user's matplotlibrc says,
and its settings are as before afterwards.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.core.io import replaced, write_text_atomically
from harness.core.paths import plain_name
from harness.core.text import known
from harness.reporters.figures.caption import caption_tex
from harness.reporters.figures.sheet import DPI, GREY, SCREEN, Drawing, Sheet, Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
"""Eleven, beside ten colours: no pair is used twice before the hundred-and-eleventh method."""


PAPER_COLORS = ("#0072b2", "#e69f00", "#009e73", "#000000", "#56b4e9", "#d55e00", "#cc79a7")
"""Okabe and Ito's for colour-blind readers, without the yellow, which white paper swallows; light and dark ones alternate."""


Line = Literal["-", "--", "-.", ":", "none"]


LINES: tuple[Line, ...] = ("-", "--", "-.", ":")
"""Four, beside eleven markers: in grey print no two of 44 methods look the same."""


EDGE: dict[str, Any] = {"edgecolor": "#333333", "linewidth": 0.4}
"""Of markers: pale colours stand out from the paper."""


@dataclass(frozen=True)
class Look:
    """Colour (hex), marker and line of one method or class; they differ together, so that no reader needs the colour."""

    color: str
    marker: str
    line: Line = "-"


@contextmanager
def style(sheet: Sheet = SCREEN) -> Iterator[None]:
    """Set the look of figures within the block only."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(sheet.settings)
        yield


def looks(labels: Iterable[str], sheet: Sheet = SCREEN) -> dict[str, Look]:
    """Return the look of each label, by order of appearance; both palettes are for colour-blind readers."""
    colors = PAPER_COLORS if sheet.is_paper else sns.color_palette("colorblind").as_hex()
    lines = LINES if sheet.is_paper else LINES[:1]
    found = list(dict.fromkeys(labels))
    return {
        label: Look(colors[i % len(colors)], MARKERS[i % len(MARKERS)], lines[i % len(lines)])
        for i, label in enumerate(found)
    }


def legend_handle(label: str, look: Look) -> Line2D:
    """Return what stands for a method in the legend."""
    return Line2D(
        [], [], color=look.color, marker=look.marker, linestyle=look.line, markeredgecolor="#333333",
        markeredgewidth=0.4, label=label,
    )  # fmt: skip


def marker_sizes(ipcs: Iterable[Any]) -> dict[float, float]:
    """Return how much larger the marker of each known IPC is, from 1 to 3 times the area."""
    values = sorted({float(ipc) for ipc in ipcs if known(ipc)})
    return {ipc: 1 + 2 * place / max(1, len(values) - 1) for place, ipc in enumerate(values)}


def grid(rows: int, columns: int, sheet: Sheet = SCREEN, **options: Any) -> tuple[Drawing, np.ndarray]:
    """Return a figure and its axes [rows, columns]; options are those of `Figure.subplots`."""
    if sheet.width is not None:
        height = rows * sheet.heights[columns > 1]
        figure = Drawing(figsize=(sheet.width, height), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.06, hspace=0.03)  # type: ignore[union-attr,call-arg]
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    else:
        width, height = sheet.facet
        figure = Drawing(figsize=(columns * width, rows * height))
        edges = {"left": 0, "right": 1, "bottom": 0, "top": 1, "wspace": 0.14, "hspace": 0.32}
        axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=edges, **options)
    figure.sheet = sheet
    return figure, axes


def facets(names: Sequence[str], sheet: Sheet = SCREEN, **options: Any) -> tuple[Drawing, dict[str, Axes]]:
    """Return a figure with one facet per name, few in a row, and the axes by name."""
    columns = min(sheet.columns, len(names))
    figure, axes = grid(-(-len(names) // columns), columns, sheet, **options)
    flat = list(axes.flat)
    for unused in flat[len(names) :]:
        unused.remove()
    found = dict(zip(names, flat, strict=False))
    chars = round(15 * sheet.width / columns) if sheet.width else 40
    for place, (name, ax) in enumerate(found.items()):
        ax.set_title(_wrapped(name, chars))
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


def frame(
    figure: Drawing,
    title: str,
    subtitle: str,
    notes: Sequence[str],
    handles: Sequence[Any],
    details: Sequence[str] = (),
) -> None:
    """Say what a figure shows: on a screen in it, the legend at the right; on paper in its caption, the legend below.

    Args:
        figure: what `grid` or `facets` returned.
        title: what it shows.
        subtitle: suite, source and protocol.
        notes: sentences without which a point could be misread.
        handles: of the legend.
        details: sentences that a paper's caption has no room for.
    """
    figure.words = Words(title, subtitle, tuple(notes), tuple(details))
    figure.set_label(title)
    if figure.sheet.is_paper:
        _legend_below(figure, handles)
        return
    width, height = figure.get_size_inches()
    chars = max(60, round(width * 14))
    lines = _wrapped(subtitle, chars)
    above = 0.32 + 0.17 * (lines.count("\n") + 1)
    figure.text(0, 1 + above / height, title, fontsize=12, va="bottom")  # not bold: PDFs embed each face of a font
    figure.text(0, 1 + 0.3 / height, lines, fontsize=8, color=GREY, va="bottom")
    text = "\n".join(_wrapped(note, chars) for note in (*notes, *details))
    figure.text(0, -0.5 / height, text, fontsize=7.5, color=GREY, va="top")
    if handles:
        for handle in handles:
            handle.set_label(_wrapped(str(handle.get_label()), 32))
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(1 + 0.12 / width, 1), borderaxespad=0)


def _legend_below(figure: Drawing, handles: Sequence[Any]) -> None:
    """Put the legend below the axes in as many columns as fit, and make the figure taller by it."""
    if not handles:
        return
    width, height = figure.get_size_inches()
    for handle in handles:
        handle.set_label(_wrapped(str(handle.get_label()), round(13 * width)))
    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in range(len(handles), 0, -1):
        legend = figure.legend(handles=list(handles), loc="outside lower center", ncols=columns, borderaxespad=0.2)
        box = legend.get_window_extent(renderer)
        if box.width / figure.dpi <= width or columns == 1:
            figure.set_size_inches(width, height + box.height / figure.dpi)
            return
        legend.remove()


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, ...]:
    """Write the files of a figure, without a date, each there whole or not at all; return their paths.

    Of a screen's: NAME.png, NAME.pdf, NAME.svg, cut to what was drawn. Of a paper's: NAME_column.pdf (or _page), .svg, and
    .tex, the figure environment with its caption; exactly as wide as the sheet.
    """
    name, box = plain_name(name), None
    paper = isinstance(figure, Drawing) and figure.sheet.is_paper
    if isinstance(figure, Drawing) and paper:
        name = f"{name}_{figure.sheet.name}"
    else:  # once, for all files
        box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()).padded(0.15)
    undated: dict[str, dict[str, Any]] = {
        ".png": {"Software": None},
        ".pdf": {"CreationDate": None},
        ".svg": {"Date": None},
    }
    paths = [folder / f"{name}{ending}" for ending in ((".pdf", ".svg") if paper else undated)]
    for path in paths:
        about = undated[path.suffix] | {"Title": figure.get_label()}
        with replaced(path) as part:
            figure.savefig(part, format=path.suffix.removeprefix("."), dpi=DPI, bbox_inches=box, metadata=about)
    if isinstance(figure, Drawing) and paper:
        paths.append(folder / f"{name}.tex")
        write_text_atomically(paths[-1], caption_tex(figure, name))
    return tuple(paths)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width)) or text
