"""A table on a terminal, never wider than it.

In: a `TableContent` and a width. Out: one rich renderable. A table that does not fit is stacked: its first columns, which
say what a row is, stand again in front of the next part. No column is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.core.text import without_controls
from harness.reporters.tables.content import TableContent, is_text

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

_KEYS = frozenset({"Rank", "Method", "IPC", "Test model", "Class", "Suite", "Metric", "Device"})
"""Columns that say what a row is, where they stand first."""

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
        captions: the whole caption below the table; else its one line `brief`. Notes stand there in any case.
    """
    from rich.console import Group

    parts: list[RichTable | Text] = [_plain(table.title, "bold")] if table.title else []
    broken, blocks = _layout(table, width)
    for number, columns in enumerate(blocks):
        parts += [_plain("")] if number else []
        parts.append(_block(table, columns, width, broken=broken))
    below = "\n".join(filter(None, [table.caption if captions else table.brief, *table.notes]))
    return Group(*parts, *([_plain(""), _plain(below)] if below else []))


def header(column: str, *, broken: bool) -> str:
    """Return a header on lines: broken at its spaces, and where it must be short after underscores too."""
    if is_text(column):
        return column
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


def _layout(table: TableContent, width: int | None) -> tuple[bool, list[list[str]]]:
    """Return whether headers are broken at underscores, and the columns of each part."""
    columns = list(table.display.columns)
    if width is None:
        return False, [columns]
    for broken in (False, True):
        if _sum(_least(table, c, broken=broken) for c in columns) <= width:
            return broken, [columns]
    num_keys = next((i for i, c in enumerate(columns) if c not in _KEYS), len(columns))
    keys, rest = columns[:num_keys], sorted(columns[num_keys:], key=lambda c: c in table.aside)
    left = width - sum(_least(table, c, broken=True) + _GAP for c in keys)
    blocks: list[list[str]] = [[]]
    for column in rest:
        if blocks[-1] and _sum(_least(table, c, broken=True) for c in [*blocks[-1], column]) > left:
            blocks.append([])
        blocks[-1].append(column)
    return True, [[*keys, *block] for block in blocks]


def _sum(widths: object) -> int:
    every = list(widths)  # type: ignore[call-overload]
    return sum(every) + _GAP * (len(every) - 1)


def _least(table: TableContent, column: str, *, broken: bool) -> int:
    """Return the characters that a column needs: words may stand on several lines, numbers not."""
    cells = max(map(len, map(_compact, table.display[column])), default=0)
    least = min(cells, _WORDS) if is_text(column) else cells
    return max(least, *map(len, header(column, broken=broken).split("\n")))


def _block(table: TableContent, columns: list[str], width: int | None, *, broken: bool) -> RichTable:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable

    room = None if width is None else max(width, 1)
    block = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, width=None)
    for column in columns:
        least = _least(table, column, broken=broken)
        fits = room is None or _sum(_least(table, c, broken=broken) for c in columns) <= room
        block.add_column(
            _plain(header(column, broken=broken)),
            justify="left" if is_text(column) else "right",
            overflow="fold",
            vertical="top",
            min_width=least if fits else None,
        )
    shown = table.display[columns]
    for position, row in enumerate(shown.itertuples(index=False, name=None)):
        cells = zip(columns, row, strict=True)
        block.add_row(*[_plain(_compact(cell), table.stress(position, c)) for c, cell in cells])
    return block


def _plain(text: str, style: str = "") -> Text:
    """Return a text that a terminal shows and does not obey."""
    from rich.text import Text

    return Text(without_controls(text), style=style)


def _compact(cell: str) -> str:
    return cell.replace(" ± ", "±")
