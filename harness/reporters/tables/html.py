"""A table as HTML: one `figure` without style of its own, for any page. In: a `TableContent`. Out: text, everything escaped."""

from __future__ import annotations

from html import escape

from harness.reporters.tables.content import TableContent

_STRESS = {"bold": "<strong>{}</strong>", "underline": "<u>{}</u>", "": "{}"}


def to_html(table: TableContent, *, aligned: bool = False) -> str:
    """Return title, caption, table and notes, in ASCII: a page of any encoding shows them.

    Cells of words have the class `word`, others `number`; the first row of a group `group`; spreads stand in `small`.

    Args:
        table: what to show.
        aligned: say in each cell how it is aligned, for a notebook, where no style sheet of ours is.
    """
    columns = list(table.display.columns)
    kinds = {c: _attributes(table.is_text(c), aligned) for c in columns}
    head = "".join(f'<th scope="col" {kinds[c]}>{escape(c)}</th>' for c in columns)
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
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


def _attributes(is_text: bool, aligned: bool) -> str:
    style = f' style="text-align: {"left" if is_text else "right"}"' if aligned else ""
    return f'class="{"word" if is_text else "number"}"{style}'


def _rows(table: TableContent, kinds: dict[str, str]) -> list[str]:
    lines, last = [], None
    for i, row in enumerate(table.display.itertuples(index=False, name=None)):
        cells = "".join(
            f"<td {kinds[c]}>{_cell(text, table.stress(i, c))}</td>" for c, text in zip(kinds, row, strict=True)
        )
        group = row[list(kinds).index(table.group)] if table.group else None
        begins = table.group and last is not None and group != last
        lines.append(f'<tr class="group">{cells}</tr>' if begins else f"<tr>{cells}</tr>")
        last = group
    return lines


def _cell(text: str, stress: str) -> str:
    mean, sign, spread = text.partition(" ± ")
    return _STRESS[stress].format(escape(mean)) + (f"<small> ± {escape(spread)}</small>" if sign else "")
