"""A table in all its forms.

In: a frame of plain values and what its columns show. Out: terminal, Markdown, LaTeX, HTML, CSV, JSON.
Importing this module imports neither pandas nor rich.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.io import write_text_atomically
from harness.core.paths import plain_name
from harness.reporters.tables.content import TableContent
from harness.reporters.tables.html import to_html
from harness.reporters.tables.latex import Caption, to_latex
from harness.reporters.tables.terminal import to_rich

if TYPE_CHECKING:
    from rich.console import Group


_STRESS = {"bold": "**{}**", "underline": "<ins>{}</ins>", "": "{}"}
"""In Markdown; GitHub shows inserted text underlined."""


_MARKDOWN = re.compile(r"[\\`*|<~$]|&(?=#?\w+;)|\](?=[(\[])|(?<![^\W_])_|_(?![^\W_])")
"""What GitHub would not show as it is; an underscore within a word means nothing."""


class Table(TableContent):
    """A table in all its forms: terminal, Markdown, LaTeX, HTML, CSV, JSON."""

    def to_rich(self, width: int | None = None, *, captions: bool = True) -> Group:
        """Return the table for a terminal of so many columns (None: any), with its caption or the one sentence `brief`."""
        return to_rich(self, width, captions=captions)

    def to_markdown(self) -> str:
        """Return title, caption, the table in GitHub's form, and the notes."""
        import tabulate

        rows = [
            [
                _STRESS[self.stress(i, name)].format(_cell(cell.text()))
                for name, cell in zip(self.names, row, strict=True)
            ]
            for i, row in enumerate(self.rows)
        ]
        body = tabulate.tabulate(
            rows,
            headers=[_cell(name) for name in self.names],
            tablefmt="github",
            disable_numparse=True,
            colalign=["left" if column.words else "right" for column in self.columns] if rows else None,
        )
        notes = "".join(f"\n- {_cell(note)}" for note in self.all_notes())
        return f"### {_cell(self.title)}\n\n{_cell(self.caption)}\n\n{body}\n" + (f"{notes}\n" if notes else "")

    def to_latex(self, caption: Caption = "short") -> str:
        """Return a `table` or `table*` environment with a caption that is short, full or none; cells are escaped."""
        return to_latex(self, caption)

    def to_html(self) -> str:
        """Return a `figure` element with a table, for a page of any style; what a cell holds is escaped."""
        return to_html(self)

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it: the last expression of a cell."""
        return to_html(self, aligned=True)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the table as IPython shows it without HTML."""
        printer.text(self.to_markdown())

    def to_csv(self) -> str:
        """Return the plain values; what is not known is an empty field. A text that a spreadsheet would compute gets a '."""
        return self.frame.map(_not_a_formula).to_csv(index=False, lineterminator="\n")

    def to_json(self) -> str:
        """Return the plain values as a list of records; what is not known is null."""
        return self.frame.to_json(orient="records", indent=2, force_ascii=False, double_precision=15) + "\n"

    def save(self, folder: Path, stem: str) -> list[Path]:
        """Write STEM.md, STEM.csv and STEM.json into `folder`, which is made if needed; return their paths."""
        texts = {".md": self.to_markdown(), ".csv": self.to_csv(), ".json": self.to_json()}
        paths = [folder / f"{plain_name(stem)}{ending}" for ending in texts]
        for path, text in zip(paths, texts.values(), strict=True):
            write_text_atomically(path, text)
        return paths


_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.\s]|$)")


def _not_a_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _cell(text: str) -> str:
    """Return a text on one line that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))
