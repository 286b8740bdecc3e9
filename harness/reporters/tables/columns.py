"""The columns of a table: which numbers a cell reads from the frame, and in which parts it shows them.

In: values of a frame. Out: cells, which each format (terminal, Markdown, LaTeX, HTML, page) writes in its own way. No
format reads a number back out of a text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.core.text import DASH, known, shorten
from harness.students.spec import titles_of

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 60
"""Characters of an error in a terminal and in Markdown; HTML and CSV have it whole, LaTeX has none."""


@dataclass(frozen=True)
class Cell:
    """What a cell shows.

    Attributes:
        main: the number or the word.
        spread: standard deviation, written small where a format can; "" for none.
        mark: a sign behind the number, such as a dagger.
        reason: why there is no number, whole; each format decides how much of it to show.
        number: what the cell sorts by; None sorts last.
        paper: `main` as LaTeX writes it, where a paper calls it otherwise; "" for the same.
    """

    main: str = DASH
    spread: str = ""
    mark: str = ""
    reason: str = ""
    number: float | None = None
    paper: str = ""

    def text(self, width: int | None = WIDTH, sign: str = " ± ") -> str:
        """Return the cell in one line, such as "37.0 ± 1.0†" or "failed: out of memory".

        Args:
            width: most characters of the reason; None: all.
            sign: what stands between mean and spread.
        """
        spread = f"{sign}{self.spread}" if self.spread else ""
        reason = f": {self.reason if width is None else shorten(self.reason, width)}" if self.reason else ""
        return f"{self.main}{spread}{self.mark}{reason}"


@dataclass(frozen=True)
class Column:
    """How one column is made.

    Attributes:
        name: header.
        source: column or columns of the frame that a cell reads.
        form: from the values of `source` to a `Cell` or a text.
        words: aligned left and sorted as words; else right, as numbers.
        rows: positions in the frame that each cell reads, none for a dash; None: a row of the frame each, in order.
        paper: the header in LaTeX where a paper calls it otherwise; "" for the same.
    """

    name: str
    source: str | tuple[str, ...]
    form: Callable[..., Cell | str] = str
    words: bool = False
    rows: Sequence[tuple[int, ...]] | None = None
    paper: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """Return `source` as a tuple."""
        return (self.source,) if isinstance(self.source, str) else self.source

    def cell(self, *values: Any) -> Cell:
        """Return the cell for the values of `source`; it sorts by the first of them unless the form says otherwise."""
        made = self.form(*values)
        if isinstance(made, Cell):
            return made
        return Cell(made or DASH, number=None if self.words else _number(*values[:1]))

    def joined(self, cells: Sequence[Cell]) -> Cell:
        """Return what stands for several numbers in one cell."""
        if len(cells) == 1:
            return cells[0]
        return replace(cells[0], main="; ".join(cell.text() for cell in cells), spread="", mark="") if cells else Cell()


def word_column(name: str, source: str, **more: Any) -> Column:
    """Return a column of words; an empty one is a dash."""
    return Column(name, source, _word, words=True, **more)


def mean_column(name: str, mean: str, std: str, *, digits: int = 1, **more: Any) -> Column:
    """Return a column of means with their standard deviations, by the frame's columns of both."""
    return Column(name, (mean, std), lambda *values: mean_spread(*values, digits=digits), **more)


def student_column(frame: pd.DataFrame, **more: Any) -> Column:
    """Return the column of test models; LaTeX calls them as papers do."""
    titles = titles_of(set(frame["student"]))
    return Column("Test model", "student", lambda name: Cell(name or DASH, paper=titles[name]), words=True, **more)


def mean_spread(mean: Any, std: Any = None, *, digits: int = 1) -> Cell:
    """Return "37.0 ± 1.0"; the mean alone where there is no spread (one run), a dash where there is no mean."""
    if not known(mean):
        return Cell()
    return Cell(f"{mean:.{digits}f}", f"{std:.{digits}f}" if known(std) else "", number=float(mean))


def ipc_column(full: str = "", **more: Any) -> Column:
    """Return the column of images per class; with `full`, the frame's column that tells the full data, "all" in its row."""
    return Column("IPC", ("ipc", full) if full else "ipc", _ipc, **more)


def runs_column(sources: Sequence[str]) -> Column:
    """Return the column of the number of runs, "0–3" where students differ."""
    return Column("n", tuple(sources), _runs)


def status_column() -> Column:
    """Return the column that says how the work ended; it reads `status` and `error`."""
    return Column("Status", ("status", "error"), lambda status, error: Cell(status, reason=error or ""), words=True)


def first(values: Sequence[Any], wanted: Any) -> tuple[int, ...]:
    """Return the position of the first value that is `wanted`, for `rows`; none where there is none."""
    return next(((i,) for i, value in enumerate(values) if value == wanted), ())


def plain_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Return a column for each column of a frame that somebody else made."""
    numeric = {name: getattr(frame[name].dtype, "kind", "O") in "iuf" for name in frame.columns}
    return tuple(Column(str(n), n, _plain, words=not numeric[n]) for n in frame.columns)


def _plain(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return DASH if text in ("", "nan", "<NA>", "None", "NaT") else text


def _word(value: Any) -> str:
    return str(value) if value or known(value) else DASH


def _ipc(ipc: Any, is_full: Any = False) -> str:
    return str(int(ipc)) if known(ipc) else "all" if is_full else DASH


def _runs(*runs: Any) -> str:
    found = sorted({int(num) for num in runs}) or [0]
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"


def _number(value: Any = None) -> float | None:
    try:
        return float(value) if known(value) else None
    except (TypeError, ValueError):
        return None
