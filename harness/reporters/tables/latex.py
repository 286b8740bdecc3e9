"""A table as LaTeX: booktabs rules, small spreads, everything that a cell holds escaped.

In: a `TableContent`. Out: text for pdfLaTeX, XeLaTeX and LuaLaTeX, whose first line names the packages that it needs; plain
ASCII, so that it does not depend on the document's input encoding.
"""

from __future__ import annotations

import itertools
import re
import unicodedata

from harness.reporters.tables.content import TableContent

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


_MEAN_STD = re.compile(r"(.+) ± (\d[\d.]*)(.*)", re.S)


MOST_ROWS = 40
"""A longer table does not fit on a page and is cut into parts, between groups where there are any."""


_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"
"""What makes a table as wide as the text at most."""


def to_latex(table: TableContent) -> str:
    """Return a table with caption, label and notes: a `table` environment for each MOST_ROWS rows.

    A cell "37.0 ± 1.0" gets its spread small; stress (bold, underlined) goes to the mean alone. Where the group column
    comes first, a group names itself once a part. What is wider than the text is made smaller.
    """
    columns = list(table.display.columns)
    label = f"tab:{_slug(table.title)}"
    head = [r"\toprule", " & ".join(escape(c) for c in columns) + r" \\", r"\midrule"]
    kinds = "".join("l" if table.is_text(c) else "r" for c in columns)
    about = rf"\caption[{escape(table.title)}]{{{escape(table.caption)}}}\label{{{label}}}\par\medskip"
    parts = _parts(table)
    lines = [r"% needs \usepackage{booktabs,graphicx}"]
    for number, part in enumerate(parts, 1):
        first, *rest = _within("tabular", f"{{{kinds}}}", [*head, *_rows(table, columns, part), r"\bottomrule"])
        said = about if number == 1 else rf"Table \ref{{{label}}}, part {number} of {len(parts)}\par\medskip"
        notes = _notes(table) if number == len(parts) else []
        inner = [r"\centering", r"\small", said, _FIT + first, *rest[:-1], rest[-1] + "}", *notes]
        lines += _within("table", "[t]" if len(parts) == 1 else "[p]", inner)
    return "\n".join(lines) + "\n"


def _within(environment: str, options: str, lines: list[str]) -> list[str]:
    return [rf"\begin{{{environment}}}{options}", *lines, rf"\end{{{environment}}}"]


def _notes(table: TableContent) -> list[str]:
    if not table.notes:
        return []
    notes = " \\par ".join(escape(note) for note in table.notes)
    return [rf"\par\smallskip{{\footnotesize\raggedright {notes}\par}}"]


def _parts(table: TableContent) -> list[list[int]]:
    """Return the rows of each part; a group that fits into one is not torn."""
    names = table.display[table.group].tolist() if table.group else list(range(len(table.display)))
    runs = [[i for i, _ in run] for _, run in itertools.groupby(enumerate(names), key=lambda entry: entry[1])]
    parts: list[list[int]] = [[]]
    for run in runs:
        if parts[-1] and len(parts[-1]) + len(run) > MOST_ROWS:
            parts.append([])
        for i in run:
            if len(parts[-1]) == MOST_ROWS:
                parts.append([])
            parts[-1].append(i)
    return parts


def _rows(table: TableContent, columns: list[str], chosen: list[int]) -> list[str]:
    lines, last = [], None
    for i in chosen:
        row = table.display.iloc[i].tolist()
        cells = [_cell(text, table.stress(i, c)) for c, text in zip(columns, row, strict=True)]
        if table.group:
            at = columns.index(table.group)
            if last is not None and row[at] != last:
                lines.append(r"\midrule")
            elif last is not None and at == 0:
                cells[0] = ""
            last = row[at]
        lines.append(" & ".join(cells) + r" \\")
    return lines


def _cell(text: str, stress: str) -> str:
    found = _MEAN_STD.fullmatch(text)
    mean, spread, rest = found.groups() if found else (text, "", "")
    command = {"bold": r"\textbf", "underline": r"\underline"}.get(stress)
    main = rf"{command}{{{escape(mean)}}}" if command else escape(mean)
    return main + (rf"{{\scriptsize$\,\pm\,${spread}}}" if spread else "") + escape(rest)


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
