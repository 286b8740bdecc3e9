"""A table on a terminal, never wider than it.

In: a `TableContent` and a width. Out: one rich renderable. A table that does not fit is stacked: its first columns, which
say what a row is, stand again in front of the next part. No column is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.core.text import without_controls
from harness.reporters.tables.columns import Column
from harness.reporters.tables.content import TableContent, blocks, total

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

_GAP = 2
"""Columns of the terminal between two columns of a table."""

_WORDS = 24
"""Characters to which a column of words may shrink, on several lines, before a table is stacked."""

_HEADER = 8
"""Characters to which headers shrink at their underscores, before a table is stacked."""


def to_rich(table: TableContent, width: int | None = None, *, captions: bool = True) -> Group:
    """Return a table for a terminal; cells are taken literally, never as markup, and numbers are never broken.

    Args:
        table: what to show.
        width: columns of the terminal; None: as wide as the table is.
        captions: the whole caption below the table; else its one sentence `brief`. Notes stand there in any case.
    """
    from rich.console import Group

    parts: list[RichTable | Text] = [_plain(table.title, "bold")] if table.title else []
    texts = [[cell.text(sign="±") for cell in row] for row in table.rows]
    broken, stacked = _layout(table, texts, width)
    for number, columns in enumerate(stacked):
        parts += [_plain("")] if number else []
        parts.append(_block(table, texts, columns, width, broken=broken))
    below = "\n".join(filter(None, [table.caption if captions else table.brief, *table.all_notes()]))
    return Group(*parts, *([_plain(""), _plain(below)] if below else []))


def header(column: str, *, broken: bool) -> str:
    """Return the header of numbers on lines: broken at its spaces, and where it must be short after underscores too."""
    ends = "[ _]" if broken else " "
    lines = []
    for line in column.split("\n"):
        words = re.findall(rf"[^ _\n]+{ends}?|{ends}" if broken else r"[^ ]+ ?| ", line)
        lines += _filled(words)
    return "\n".join(lines)


def _filled(words: list[str]) -> list[str]:
    lines = [""]
    for word in words:
        if lines[-1] and len((lines[-1] + word).rstrip()) > _HEADER:
            lines.append("")
        lines[-1] += word
    return [line.rstrip() for line in lines]


def _layout(table: TableContent, texts: list[list[str]], width: int | None) -> tuple[bool, list[list[int]]]:
    """Return whether headers are broken at underscores, and the columns of each part."""
    whole = [list(range(len(table.columns)))]
    if width is None:
        return False, whole
    for broken in (False, True):
        widths = _least(table, texts, broken=broken)
        if total(widths, _GAP) <= width:
            return broken, whole
    return True, blocks(widths, table.names, width, _GAP, table.aside)


def _least(table: TableContent, texts: list[list[str]], *, broken: bool) -> list[float]:
    """Return the characters that each column needs: words may stand on several lines, numbers not."""
    return [_width(column, [row[i] for row in texts], broken=broken) for i, column in enumerate(table.columns)]


def _width(column: Column, texts: list[str], *, broken: bool) -> int:
    cells = max(map(len, texts), default=0)
    return max(min(cells, _WORDS) if column.words else cells, *map(len, _head(column, broken=broken).split("\n")))


def _head(column: Column, *, broken: bool) -> str:
    return column.name if column.words else header(column.name, broken=broken)


def _block(
    table: TableContent, texts: list[list[str]], chosen: list[int], width: int | None, *, broken: bool
) -> RichTable:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable

    every = _least(table, texts, broken=broken)
    fits = width is None or total([every[i] for i in chosen], _GAP) <= max(width, 1)
    block = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, width=None)
    for i in chosen:
        column = table.columns[i]
        block.add_column(
            _plain(_head(column, broken=broken)),
            justify="left" if column.words else "right",
            overflow="fold",
            vertical="top",
            min_width=int(every[i]) if fits else None,
        )
    for position, row in enumerate(texts):
        block.add_row(*[_plain(row[i], table.stress(position, table.names[i])) for i in chosen])
    return block


def _plain(text: str, style: str = "") -> Text:
    """Return a text that a terminal shows and does not obey."""
    from rich.text import Text

    return Text(without_controls(text), style=style)
