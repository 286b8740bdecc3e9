"""Tables as one text, for a file or a pipe. In: tables by name. Out: text in one format."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.errors import UserError, did_you_mean
from harness.reporters.tables.latex import Caption
from harness.reporters.tables.table import Table

FORMATS = ("latex", "md", "csv", "html")


def check_format(name: str) -> None:
    """Refuse an unknown format.

    Raises:
        UserError: says which there are.
    """
    if name not in FORMATS:
        raise UserError(f"unknown format {name!r}.{did_you_mean(name, list(FORMATS))} Known: {', '.join(FORMATS)}.")


def render(tables: Mapping[str, Table], form: str, caption: Caption = "short") -> str:
    """Return tables one after the other; CSV: one kind of table, its scopes below each other. The caption is that of LaTeX.

    Raises:
        UserError: the format is unknown, or tables of several kinds were asked for as CSV.
    """
    check_format(form)
    if form != "csv":
        if form == "latex":
            return "\n".join(table.to_latex(caption) for table in tables.values())
        return "\n".join(table.to_markdown() if form == "md" else table.to_html() for table in tables.values())
    texts = [table.to_csv() for table in tables.values()]
    if len({text.split("\n", 1)[0] for text in texts}) > 1:
        raise UserError(
            f"--format csv holds one kind of table, here are {', '.join(tables)}. Name one: --layout {next(iter(tables))}."
        )
    return "".join(text if i == 0 else text.split("\n", 1)[1] for i, text in enumerate(texts))
