"""A table as LaTeX: booktabs rules, small spreads, everything that a cell holds escaped.

In: a `TableContent`. Out: text for pdfLaTeX, XeLaTeX and LuaLaTeX, whose first line names the packages that it needs; plain
ASCII, so that it does not depend on the document's input encoding. A table that is wider than a column is a `table*`; one
that is wider than the page is stacked. Type is never smaller than `footnotesize` in a two-column paper.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Literal

from harness.core.text import DAGGER
from harness.reporters.tables.columns import Cell, Column
from harness.reporters.tables.content import TableContent, blocks, total

Caption = Literal["short", "full", "none"]
CAPTIONS: tuple[Caption, ...] = ("short", "full", "none")

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "*": "{*}", "<": "$<$", ">": "$>$", "|": "$|$", '"': "''",
    "[": "{[}", "]": "{]}", "—": "---", "–": "--", "…": r"\ldots{}", "±": r"$\pm$", "†": r"$^\dagger$", "×": r"$\times$",
    "−": "$-$", "°": r"$^\circ$", "·": r"$\cdot$", "‘": "`", "’": "'", "“": "``", "”": "''", "\u00a0": "~",
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "ø": r"\o{}", "Ø": r"\O{}", "œ": r"\oe{}", "ł": r"\l{}", "Ł": r"\L{}",
    "ı": r"\i{}", "α": r"$\alpha$", "β": r"$\beta$", "λ": r"$\lambda$", "µ": r"$\mu$", "μ": r"$\mu$", "σ": r"$\sigma$",
}  # fmt: skip
"""What must not stand as it is. Bracket, star: after a line's end LaTeX would read a length, a command's star."""


_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip
"""Combining marks and the commands that set them in every font encoding."""


MOST_ROWS = 40
"""A longer table does not fit on a page and is cut into parts, between groups where there are any."""


COLUMN, PAGE = 229.0, 469.0
"""Widths of a column and of the text of a two-column article on letter paper, points; those of conferences are similar."""


_LONGEST = 140.0
"""Points of a column of words; longer texts stand on several lines."""


_SIZES = {"small": 9.0, "footnotesize": 8.0}
_SCRIPT = 7.0
"""Type sizes in points, of a document of 10 pt."""


_CHOICES = (("table", COLUMN, "small", 6), ("table", COLUMN, "footnotesize", 4),
            ("table*", PAGE, "small", 6), ("table*", PAGE, "footnotesize", 4))  # fmt: skip
"""Environment, room, type size, half of the gap between columns, in points: the first that a table fits into is taken."""


FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"
"""What makes a table as wide as the text at most, for pages narrower than `PAGE`, such as those of one column."""


@dataclass(frozen=True)
class _Look:
    """How a table is set: see `_CHOICES`; `stacked` are the columns of each tabular."""

    environment: str
    size: str
    gap: int
    stacked: list[list[int]]


def to_latex(table: TableContent, caption: Caption = "short") -> str:
    """Return a table with caption, label and notes: a `table` or `table*` environment for each MOST_ROWS rows.

    A standard deviation is small; stress (bold, underlined) goes to the mean alone. Where the group column comes first, a
    group names itself once a part. Reasons of failures are left out, and so is a column of nothing but "done".

    Args:
        table: what to set.
        caption: `short`, one sentence, with the whole text as a comment above; `full`, the whole text; or `none`.
    """
    table = _telling(table)
    look = _look(table)
    label = f"tab:{_slug(table.title)}"
    parts = _parts(table, max(1, MOST_ROWS // len(look.stacked)))
    wide = look.environment == "table*"
    lines = [rf"% needs \usepackage{{booktabs{',graphicx' if wide else ''}}}"]
    lines += [f"% {escape(table.caption)}"] if table.caption and caption != "full" else []
    for number, part in enumerate(parts, 1):
        inner = [r"\centering", rf"\{look.size}\setlength{{\tabcolsep}}{{{look.gap}pt}}"]
        if number > 1:
            inner.append(rf"Table \ref{{{label}}}, part {number} of {len(parts)}\par\medskip")
        elif caption != "none":
            inner.append(_caption(table, label, caption))
        for place, chosen in enumerate(look.stacked):
            inner += [r"\par\medskip"] if place else []
            tabular = _tabular(table, look, chosen, part)
            inner += [FIT + tabular[0], *tabular[1:-1], tabular[-1] + "}"] if wide else tabular
        inner += _notes(table) if number == len(parts) else []
        lines += _within(look.environment, "[t]" if len(parts) == 1 else "[p]", inner)
    return "\n".join(lines) + "\n"


def _caption(table: TableContent, label: str, caption: Caption) -> str:
    text = table.caption if caption == "full" else table.brief or table.title
    short = f"[{escape(table.title)}]" if caption == "full" else ""
    return rf"\caption{short}{{{escape(text)}}}\label{{{label}}}\par\medskip"


def _within(environment: str, options: str, lines: list[str]) -> list[str]:
    return [rf"\begin{{{environment}}}{options}", *lines, rf"\end{{{environment}}}"]


def _tabular(table: TableContent, look: _Look, chosen: list[int], part: list[int]) -> list[str]:
    widths = _widths(table, look.size)
    kinds = "".join(_kind(table.columns[i], widths[i]) for i in chosen)
    heads = [_head(table.columns[i], widths[i], look.size) for i in chosen]
    head = [r"\toprule", " & ".join(heads) + r" \\", r"\midrule"]
    return _within("tabular", f"{{@{{}}{kinds}@{{}}}}", [*head, *_rows(table, chosen, part), r"\bottomrule"])


def _kind(column: Column, width: float) -> str:
    return ("l" if width < _LONGEST else f"p{{{_LONGEST:.0f}pt}}") if column.words else "r"


def _notes(table: TableContent) -> list[str]:
    marked = any(DAGGER in (cell.mark, cell.main) for row in table.rows for cell in row)
    failed = [f"{DAGGER} failed; " * marked + "reasons: harness report"] if table.failures else []
    if not (failed or table.notes):
        return []
    notes = " \\par ".join(escape(note) for note in [*failed, *table.notes])
    return [rf"\par\smallskip{{\footnotesize\raggedright {notes}\par}}"]


def _look(table: TableContent) -> _Look:
    """Return the first choice into which the table fits; the last one stacked, if there is none."""
    for environment, room, size, gap in _CHOICES:
        if total(_widths(table, size), 2 * gap) <= room:
            return _Look(environment, size, gap, [list(range(len(table.columns)))])
    environment, room, size, gap = _CHOICES[-1]
    return _Look(environment, size, gap, blocks(_widths(table, size), table.names, room, 2 * gap, table.aside))


def _telling(table: TableContent) -> TableContent:
    """Return the table without a column that says "done" in every row."""
    kept = [
        column
        for i, column in enumerate(table.columns)
        if column.name != "Status" or any(row[i].text() != "done" for row in table.rows)
    ]
    return replace(table, columns=tuple(kept)) if kept else table


def _widths(table: TableContent, size: str) -> list[float]:
    """Return the width of each column in points, as far as one can tell without TeX."""
    return [_column_width(table, i, _SIZES[size]) for i in range(len(table.columns))]


def _column_width(table: TableContent, i: int, size: float) -> float:
    column, cells = table.columns[i], [row[i] for row in table.rows]
    bold = [1.15 if table.stress(position, column.name) == "bold" else 1.0 for position in range(len(cells))]
    widest = max((_cell_width(cell, size * factor) for cell, factor in zip(cells, bold, strict=True)), default=0.0)
    longest = max((_ems(word) * size for word in _title(column).split()), default=0.0)
    width = max(widest, longest)
    return min(width, _LONGEST) if column.words else width


def _cell_width(cell: Cell, size: float) -> float:
    spread = (_ems(cell.spread) + 0.78) * _SCRIPT + 0.33 * size if cell.spread else 0.0
    return _ems(cell.paper or cell.main) * size + spread + (_SCRIPT * 0.5 if cell.mark else 0.0)


def _ems(text: str) -> float:
    """Return the width of a text in units of its type size, by the usual widths of Computer Modern."""
    return sum(0.29 if c in " ijlt.,:;|!'()[]" else 0.75 if c.isupper() or c in "mw%" else 0.53 for c in text)


def _title(column: Column) -> str:
    return column.paper or column.name


def _head(column: Column, width: float, size: str) -> str:
    """Return the header of a column, on several lines where it is wider than what stands below."""
    lines: list[str] = []
    for word in _title(column).split():
        if lines and _ems(f"{lines[-1]} {word}") * _SIZES[size] <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    texts = [escape(line) for line in lines]
    if len(texts) < 2:
        return "".join(texts)
    return rf"\shortstack[{'l' if column.words else 'r'}]{{" + r"\\".join(texts) + "}"


def _parts(table: TableContent, most: int) -> list[list[int]]:
    """Return the rows of each part, `most` at most; a group that fits into one is not torn."""
    at = table.names.index(table.group) if table.group and table.rows else None
    names = [i if at is None else row[at].main for i, row in enumerate(table.rows)]
    runs = [[i for i, _ in run] for _, run in itertools.groupby(enumerate(names), key=lambda entry: entry[1])]
    parts: list[list[int]] = [[]]
    for run in runs:
        if parts[-1] and len(parts[-1]) + len(run) > most:
            parts.append([])
        for i in run:
            if len(parts[-1]) == most:
                parts.append([])
            parts[-1].append(i)
    return parts


def _rows(table: TableContent, chosen: list[int], part: list[int]) -> list[str]:
    """Return the lines of a tabular; groups by the column of that name, wherever it stands."""
    lines, last = [], None
    at = table.names.index(table.group) if table.group and part else None
    for i in part:
        row = table.rows[i]
        cells = [_cell(row[j], table.stress(i, table.names[j])) for j in chosen]
        if at is not None:
            if last is not None and row[at].main != last:
                lines.append(r"\midrule")
            elif last is not None and chosen[0] == at:
                cells[0] = ""
            last = row[at].main
        lines.append(" & ".join(cells) + r" \\")
    return lines


def _cell(cell: Cell, stress: str) -> str:
    text = escape(cell.paper or cell.main)
    command = {"bold": r"\textbf", "underline": r"\underline"}.get(stress)
    main = rf"{command}{{{text}}}" if command else text
    return main + (rf"{{\scriptsize$\,\pm\,${escape(cell.spread)}}}" if cell.spread else "") + escape(cell.mark)


def escape(text: str) -> str:
    """Return a text that LaTeX prints as it is, in ASCII; a character that it cannot print becomes "?"."""
    parts = re.split("(?<=-)(?=-)", " ".join(text.split()))  # two hyphens would become a dash
    return "{}".join("".join(map(_escape, part)) for part in parts)


def _escape(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if character.isascii():
        return character if character.isprintable() else "?"
    base, *marks = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return rf"\{_ACCENTS[marks[0]]}{{{base}}}"
    return "?"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
