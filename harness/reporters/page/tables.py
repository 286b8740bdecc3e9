"""A table as the page shows it: cells with the plain number that sorting needs.

In: a `Table`, whose cells are texts for people. Out: rows for the template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.core.text import DAGGER, DASH
from harness.reporters.tables.table import Table

MOST_ROWS = 2000
"""Rows of a table that the page holds; beyond, a phone takes seconds to lay it out. The files hold all."""


_UNITS = {
    "": 1.0, "%": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "J": 1.0, "kJ": 1e3, "MJ": 1e6,
    "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40,
}  # fmt: skip
"""What `harness.core.text` writes behind numbers."""


_QUANTITY = re.compile(r"([+−-]?\d[\d,]*(?:\.\d+)?) ?([A-Za-z%]*)")


_TWO_UNITS = re.compile(r"(\d+)([dhm]) (\d+)([hms])")


_NO_VALUE = ("", DASH, DAGGER, "all")


@dataclass(frozen=True)
class Bar:
    """A bar in a cell, all in percent of its room: its length, and the ends of the interval; None: no interval."""

    length: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what stands in it, without the spread.
        spread: "0.6" of "95.0 ± 0.6", else empty.
        key: the number to sort by; None where there is none, which sorts last either way.
        stress: "bold", "underline" or "".
        bar: what `board` draws below the text.
    """

    text: str
    spread: str
    key: float | None
    stress: str
    bar: Bar | None = None


@dataclass(frozen=True)
class Column:
    """One column; `numeric` ones sort by the cells' keys and align right. `student` is that of its numbers, "" for none."""

    name: str
    numeric: bool
    student: str = ""


@dataclass(frozen=True)
class PageTable:
    """A table for the template.

    Attributes:
        id: unique on the page; the stem of the table's files.
        head: position of the column that names the row.
        left_out: rows that only the files have.
        sources: (name, text) of each form that can be copied.
        places: (IPC, student) of each row, for the tabs; "" for every one.
        legend: what bars and bold cells mean.
    """

    id: str
    title: str
    caption: str
    notes: tuple[str, ...]
    columns: list[Column]
    rows: list[list[Cell]]
    head: int
    left_out: int
    sources: list[tuple[str, str]]
    places: list[tuple[str, str]] = field(default_factory=list)
    legend: str = ""


def make_page_table(name: str, table: Table) -> PageTable:
    """Return a table for the template; one of more than `MOST_ROWS` rows is cut and says so."""
    columns = [Column(str(c), _is_numeric(list(table.display[c]), table.is_text(c))) for c in table.display.columns]
    rows = [
        [_cell(text, column, _stress(table, i, column.name)) for text, column in zip(row, columns, strict=True)]
        for i, row in enumerate(table.display.head(MOST_ROWS).itertuples(index=False, name=None))
    ]
    names = [column.name for column in columns]
    left_out = len(table.display) - len(rows)
    return PageTable(
        id=name,
        title=table.title,
        caption=table.caption,
        notes=table.notes,
        columns=columns,
        rows=rows,
        head=names.index("Method") if "Method" in names else 0,
        left_out=left_out,
        sources=[] if left_out else _sources(table),
        places=[("", "")] * len(rows),
    )


def sort_key(text: str) -> float | None:
    """Return the number that a cell shows, in its smallest unit; None where it shows none.

    "95.0 ± 0.6" is 95.0, "1h 02m" 3720.0, "4.2 KiB" 4300.8, "1,257" 1257.0, "(2)", a rank that no test
    gave, 2.0; a range "0–3" counts as its begin.
    """
    main = text.split(" ± ")[0].split("–")[0].strip().rstrip("†‡*")
    if main.startswith("(") and main.endswith(")"):
        main = main[1:-1]
    if two := _TWO_UNITS.fullmatch(main):
        return int(two[1]) * _UNITS[two[2]] + int(two[3]) * _UNITS[two[4]]
    one = _QUANTITY.fullmatch(main)
    if one is None or one[2] not in _UNITS:
        return None
    return float(one[1].replace(",", "").replace("−", "-")) * _UNITS[one[2]]


def _is_numeric(texts: list[str], is_text: bool) -> bool:
    """Return whether most of what a column shows is numbers; a failure may stand among them, or in place of all."""
    values = [text for text in texts if text not in _NO_VALUE]
    if not values:
        return not is_text
    return 2 * sum(sort_key(text) is not None for text in values) > len(values)


def _cell(text: str, column: Column, stress: str) -> Cell:
    mean, _, spread = text.partition(" ± ")
    key = sort_key(text) if column.numeric else None
    return Cell(mean, spread, key, stress) if column.numeric else Cell(text, "", key, stress)


def _stress(table: Table, position: int, column: str) -> str:
    place = (position, column)
    if place in table.bold:
        return "bold"
    return "underline" if place in table.underline else ""


def _sources(table: Table) -> list[tuple[str, str]]:
    return [("LaTeX", table.to_latex()), ("Markdown", table.to_markdown()), ("CSV", table.to_csv())]
