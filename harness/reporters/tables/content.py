"""What a table holds: a frame of plain values, how its columns are shown, and what is stressed; no form of it yet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserError
from harness.reporters.tables.columns import WIDTH, Cell, Column, plain_columns

if TYPE_CHECKING:
    import pandas as pd

KEYS = frozenset({"Rank", "Method", "IPC", "Test model", "Class", "Suite", "Metric", "Device", "Budget"})
"""Columns that say what a row is, where they stand first."""


@dataclass(frozen=True)
class TableContent:
    """One table.

    Attributes:
        title: a few words.
        caption: what the numbers are, over what, from which data; a table without it can be misread.
        frame: one plain value a cell, units in the column names; CSV and JSON are it, all other forms are made from it.
        columns: what people see, from left to right; empty: every column of the frame.
        notes: what a reader must know beyond the caption.
        bold: (position of a row that people see, column name) of the cells to stress.
        aside: names of the columns that matter least: a narrow terminal shows them last.
        underline: cells to stress less, as papers do with the second best.
        group: column whose changes LaTeX and HTML set apart by a rule; "" for none.
        long: too many rows for a terminal; it is told where the files are.
        brief: one sentence, suite and protocol included: what the numbers are. Below the table in a terminal; the caption
            in LaTeX.
        failures: (what failed, the reason as it was raised). LaTeX names no reasons.
    """

    title: str
    caption: str
    frame: pd.DataFrame
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    bold: frozenset[tuple[int, str]] = frozenset()
    aside: tuple[str, ...] = ()
    underline: frozenset[tuple[int, str]] = frozenset()
    group: str = ""
    long: bool = False
    brief: str = ""
    failures: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        wrong = [made for made in self.columns if not isinstance(made, Column)]
        if wrong or hasattr(self.columns, "columns"):
            raise UserError(
                f"table {self.title!r}: columns must be harness.reporters.tables.columns.Column objects; leave them out to "
                "show every column of the frame."
            )
        if not len(self.columns):
            object.__setattr__(self, "columns", plain_columns(self.frame))

    @property
    def names(self) -> list[str]:
        """Return the headers."""
        return [column.name for column in self.columns]

    @cached_property
    def rows(self) -> list[list[Cell]]:
        """Return the cells of each row that people see."""
        values = {name: self.frame[name].tolist() for c in self.columns for name in c.sources if name in self.frame}
        return [list(row) for row in zip(*(_cells(c, values, len(self.frame)) for c in self.columns), strict=True)]

    @property
    def display(self) -> pd.DataFrame:
        """Return the cells as texts, for a look in Python; no form is made from it."""
        return self.frame.from_records([[cell.text() for cell in row] for row in self.rows], columns=self.names)

    def all_notes(self, width: int | None = WIDTH) -> list[str]:
        """Return failures, with so many characters of each reason (None: all), then the notes."""
        return [*(Cell(what, reason=why).text(width) for what, why in self.failures), *self.notes]

    def stress(self, position: int, column: str) -> str:
        """Return "bold", "underline" or "" for a cell that people see."""
        at = (position, column)
        return "bold" if at in self.bold else "underline" if at in self.underline else ""


def _cells(column: Column, values: dict[str, list[Any]], length: int) -> list[Cell]:
    own = [values[name] for name in column.sources]
    at = [(i,) for i in range(length)] if column.rows is None else column.rows
    return [column.joined([column.cell(*(value[i] for value in own)) for i in row]) for row in at]


def blocks(
    widths: list[float], names: list[str], room: float, gap: float, aside: tuple[str, ...] = ()
) -> list[list[int]]:
    """Return the columns of each part of a table that is stacked to fit: those that name the row stand in every part.

    Args:
        widths: of the columns, in any unit, and `names` their headers.
        room: width of the page or console, and `gap` that between two columns, in the same unit.
        aside: names of columns that come last.
    """
    num_keys = next((i for i, name in enumerate(names) if name not in KEYS), len(names))
    left = room - sum(width + gap for width in widths[:num_keys])
    parts: list[list[int]] = [[]]
    for i in sorted(range(num_keys, len(names)), key=lambda i: names[i] in aside):
        if parts[-1] and total([widths[j] for j in [*parts[-1], i]], gap) > left:
            parts.append([])
        parts[-1].append(i)
    return [[*range(num_keys), *part] for part in parts]


def total(widths: list[float], gap: float) -> float:
    """Return the width of columns beside each other."""
    return sum(widths) + gap * (len(widths) - 1)
