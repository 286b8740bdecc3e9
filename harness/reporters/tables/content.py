"""What a table holds: values for machines, strings for people, and what is stressed; no form of it yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_LEFT = frozenset({"Method", "Test model", "Class", "Device", "Status", "Against", "Verdict", "Remark", "Metric"})
"""Columns of words; all others are aligned right."""


def is_text(column: str) -> bool:
    """Return whether a column of that name holds words, aligned left, rather than numbers."""
    return column in _LEFT


@dataclass(frozen=True)
class TableContent:
    """One table.

    Attributes:
        title: a few words.
        caption: what the numbers are, over what, from which data; a table without it can be misread.
        frame: one plain value a cell, units in the column names; for CSV and JSON.
        display: strings only, one row for each row that a person reads; for terminal and Markdown.
        notes: what a reader must know beyond the caption, such as failures.
        bold: (row position, column) of the cells of `display` to stress.
        aside: columns of `display` that matter least: a narrow terminal shows them last.
        underline: cells to stress less, as papers do with the second best.
        group: column of `display` whose changes LaTeX and HTML set apart by a rule; "" for none.
        long: too many rows for a terminal; it is told where the files are.
        brief: what is compared, over how many seeds, by which test, in one line: for a terminal, below the table.
    """

    title: str
    caption: str
    frame: pd.DataFrame
    display: pd.DataFrame
    notes: tuple[str, ...] = ()
    bold: frozenset[tuple[int, str]] = frozenset()
    aside: tuple[str, ...] = ()
    underline: frozenset[tuple[int, str]] = frozenset()
    group: str = ""
    long: bool = False
    brief: str = ""

    def is_text(self, column: str) -> bool:
        """Return whether a column holds words, aligned left, rather than numbers."""
        return is_text(column)

    def stress(self, position: int, column: str) -> str:
        """Return "bold", "underline" or "" for a cell of `display`."""
        at = (position, column)
        return "bold" if at in self.bold else "underline" if at in self.underline else ""
