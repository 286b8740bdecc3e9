"""A table as HTML: one `figure` without style of its own, for any page. In: a `TableContent`. Out: text, everything escaped."""

from __future__ import annotations

from html import escape

from harness.reporters.tables.columns import Cell, Column
from harness.reporters.tables.content import TableContent

_STRESS = {"bold": "<strong>{}</strong>", "underline": "<u>{}</u>", "": "{}"}


def to_html(table: TableContent, *, aligned: bool = False) -> str:
    """Return title, caption, table and notes, in ASCII: a page of any encoding shows them.

    Cells of words have the class `word`, others `number`; the first row of a group `group`; spreads stand in `small`.

    Args:
        table: what to show.
        aligned: say in each cell how it is aligned, for a notebook, where no style sheet of ours is.
    """
    kinds = [_attributes(column, aligned) for column in table.columns]
    heads = zip(kinds, table.names, strict=True)
    head = "".join(f'<th scope="col" {kind}>{escape(name)}</th>' for kind, name in heads)
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.all_notes(None))
    text = "\n".join(
        [
            "<figure>",
            f"<figcaption><strong>{escape(table.title)}</strong><p>{escape(table.caption)}</p></figcaption>",
            "<table>",
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *_rows(table, kinds),
            "</tbody>",
            "</table>",
            *([f"<ul>{notes}</ul>"] if notes else []),
            "</figure>\n",
        ]
    )
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _attributes(column: Column, aligned: bool) -> str:
    style = f' style="text-align: {"left" if column.words else "right"}"' if aligned else ""
    return f'class="{"word" if column.words else "number"}"{style}'


def _rows(table: TableContent, kinds: list[str]) -> list[str]:
    lines, last = [], None
    for i, row in enumerate(table.rows):
        cells = "".join(
            f"<td {kind}>{_cell(cell, table.stress(i, name))}</td>"
            for kind, name, cell in zip(kinds, table.names, row, strict=True)
        )
        group = row[table.names.index(table.group)].main if table.group else None
        lines.append(f'<tr class="group">{cells}</tr>' if i and group != last else f"<tr>{cells}</tr>")
        last = group
    return lines


def _cell(cell: Cell, stress: str) -> str:
    spread = f"<small> ± {escape(cell.spread)}</small>" if cell.spread else ""
    reason = f": {cell.reason}" if cell.reason else ""
    return _STRESS[stress].format(escape(cell.main)) + spread + escape(cell.mark + reason)
