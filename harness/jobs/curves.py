"""Training curves as CSV: what a job logged while it worked, beside its artefact."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any


def write_curves(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write training curves as CSV, one row a logged step; nothing where nothing was logged."""
    if not rows:
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(rows)
