"""A table as the page shows it: cells with the plain number that sorting needs.

In: a `Table`. Out: rows for the template.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harness.reporters.tables import columns as shown
from harness.reporters.tables.table import Table

MOST_ROWS = 2000
"""Rows of a table that the page holds; beyond, a phone takes seconds to lay it out. The files hold all."""


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
    columns = [Column(column.name, not column.words) for column in table.columns]
    rows = [
        [_cell(cell, column, table.stress(i, column.name)) for cell, column in zip(row, columns, strict=True)]
        for i, row in enumerate(table.rows[:MOST_ROWS])
    ]
    names = table.names
    left_out = len(table.rows) - len(rows)
    return PageTable(
        id=name,
        title=table.title,
        caption=table.caption,
        notes=tuple(table.all_notes(None)),
        columns=columns,
        rows=rows,
        head=names.index("Method") if "Method" in names else 0,
        left_out=left_out,
        sources=[] if left_out else _sources(table),
        places=[("", "")] * len(rows),
    )


def _cell(cell: shown.Cell, column: Column, stress: str) -> Cell:
    text = replace(cell, spread="").text(None)
    return Cell(text, cell.spread, cell.number if column.numeric else None, stress)


def _sources(table: Table) -> list[tuple[str, str]]:
    return [("LaTeX", table.to_latex()), ("Markdown", table.to_markdown()), ("CSV", table.to_csv())]
