"""What a figure is drawn for: a screen, or a column or the page of a two-column paper, at its final width.

A screen's figure grows with its facets and carries title, source and notes. A paper's is exactly as wide as the template
allows, has 8 pt text, and leaves all words to the caption.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from matplotlib.figure import Figure

Paper = Literal["column", "page"]


@dataclass(frozen=True)
class Sheet:
    """Sizes and settings of the figures for one medium.

    Attributes:
        name: "screen", "column" or "page"; the latter end the names of files.
        width: of a figure, inches; None: the facets decide.
        columns: facets in a row, at most.
        facet: width and height of one facet with its labels on a screen, inches.
        heights: of a row of one facet and of a row of several, inches; of paper.
        most_ticks: of a cost axis, in a facet as wide as the figure and in a narrower one.
        settings: matplotlib's, by name.
    """

    name: str
    width: float | None
    columns: int
    facet: tuple[float, float] = (0.0, 0.0)
    heights: tuple[float, float] = (0.0, 0.0)
    most_ticks: tuple[int, int] = (6, 6)
    settings: Any = field(default_factory=dict)

    @property
    def is_paper(self) -> bool:
        """Whether words go to a caption instead of into the figure."""
        return self.width is not None


GREY = "#555555"


DPI = 150


_SHARED: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "text.parse_math": False,  # a method called "a$b" is no formula
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "legend.frameon": False,
    "figure.dpi": DPI,
    "pdf.fonttype": 42,  # text stays text, in TrueType: venues refuse matplotlib's usual type 3
    "svg.fonttype": "path",  # looks the same where the font is missing
    "svg.hashsalt": "harness",  # equal bytes for equal figures
}


_SCREEN = _SHARED | {"font.size": 9, "axes.titlesize": 9, "lines.linewidth": 1.3, "lines.markersize": 5.5}


POINTS = 8
"""Size of all text in a paper's figure."""


_PAPER = _SHARED | {
    "font.family": "STIXGeneral",  # comes with matplotlib; narrow, and close to the Times of the templates
    "axes.edgecolor": "black",
    "axes.linewidth": 0.6,
    "axes.labelpad": 2.0,
    "axes.titlepad": 3.0,
    "grid.linewidth": 0.4,
    "lines.linewidth": 0.9,
    "lines.markersize": 3.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "legend.handlelength": 2.2,  # a dashed line needs it
    "legend.borderpad": 0.1,
    "legend.columnspacing": 0.9,
    "legend.handletextpad": 0.4,
    "legend.labelspacing": 0.3,
    **dict.fromkeys(
        ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize",
         "figure.labelsize", "figure.titlesize"), POINTS,
    ),
}  # fmt: skip


SCREEN = Sheet("screen", None, 3, facet=(3.7, 2.9), settings=_SCREEN)


COLUMN = Sheet("column", 3.25, 2, heights=(2.0, 1.75), most_ticks=(5, 3), settings=_PAPER)
"""A column of ICML's template; CVPR's and ICCV's is 3.28 inches wide."""


PAGE = Sheet("page", 6.75, 4, heights=(2.3, 1.9), most_ticks=(6, 3), settings=_PAPER)
"""Both columns: ICML's text; CVPR's and ICCV's is 6.875 inches wide."""


SHEETS: dict[str | None, Sheet] = {None: SCREEN, "column": COLUMN, "page": PAGE}


@dataclass(frozen=True)
class Words:
    """What is said of a figure, in it or in its caption.

    Attributes:
        title: what it shows, and of which suite and protocol.
        source: suite, images and protocol with their versions.
        notes: sentences without which a point could be misread.
        details: further sentences, for a screen; of a paper's figure they are comments.
    """

    title: str
    source: str = ""
    notes: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


class Drawing(Figure):
    """A figure that knows what it is drawn for, and what is said of it."""

    sheet: Sheet = SCREEN
    words: Words = Words("")
