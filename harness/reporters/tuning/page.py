"""The page of a tuning: its tables, figures and best options in one file that loads nothing.

In: tables, a folder of figures, the request. Out: HTML in the look of a run's page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.reporters.page.images import read_figures
from harness.reporters.page.page import render
from harness.reporters.page.tables import make_page_table
from harness.reporters.tables.table import Table


def tuning_page(
    name: str, summary: str, tables: Mapping[str, Table], figures: Path, best: Mapping[str, str], about: dict[str, Any]
) -> str:
    """Return the page.

    Args:
        name: of the tuning.
        summary: one sentence.
        tables: by the stem of their files.
        figures: folder of PNG files; it need not exist.
        best: name of a file -> its text.
        about: the request, for the last section.
    """
    content = {
        "name": name,
        "summary": summary,
        "tables": [make_page_table(stem, table) for stem, table in tables.items()],
        "figures": read_figures(figures),
        "best": [(stem.replace(".", "-"), stem, text) for stem, text in best.items()],
        "about": about,
    }
    return render(content, "tuning.html")
