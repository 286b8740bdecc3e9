"""Figures from records: accuracy against IPC and costs, training curves, measured against published.

For screens, or for a paper at its final width. No pyplot: no global state of matplotlib changes. `harness.figures` is the
function of the public API that calls this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.core.errors import UserError
from harness.reporters.figures.accuracy import accuracy_figures
from harness.reporters.figures.curves import curve_figures
from harness.reporters.figures.published_comparison import beside_figures
from harness.reporters.figures.sheet import SHEETS, Drawing, Sheet
from harness.reporters.figures.style import save, style

if TYPE_CHECKING:
    import pandas as pd

    from harness.core.store import Store


Kind = Literal["accuracy", "curves", "published"]


KINDS = ("accuracy", "curves", "published")


CHOICES = {"kinds": KINDS, "bars": ("ci95", "std"), "metric": ("best", "last"), "paper": ("column", "page")}


def write_figures(
    records: pd.DataFrame,
    store: Store,
    folder: Path,
    *,
    kinds: tuple[str, ...],
    bars: str | None = None,
    metric: str = "best",
    paper: str | None = None,
) -> dict[str, tuple[Path, ...]]:
    """Write the figures of these kinds; return name -> files: PNG, PDF, SVG; for paper PDF, SVG and a TEX with the caption.

    Empty where there is nothing to draw.

    Args:
        records: as `harness.load_results` returns them.
        store: where curves are.
        folder: of the files.
        kinds: of `KINDS`.
        bars: ci95 or std; None: ci95 on a screen, std on paper, where intervals of three seeds hide everything else.
        metric: best or last.
        paper: column or page, the width; None: for a screen.

    Raises:
        UserError: an unknown kind, error bar, metric or width; there are no records, or no published number of the suite.
    """
    bars = bars or ("std" if paper else "ci95")
    given = (("kinds", kinds), ("bars", (bars,)), ("metric", (metric,)), ("paper", (paper,) if paper else ()))
    for name, chosen in given:
        for value in chosen:
            if value not in CHOICES[name]:
                raise UserError(f"figures: {name} {value!r} is not known; choose from {', '.join(CHOICES[name])}.")

    sheet = SHEETS[paper]
    with style(sheet):
        drawn = _figures(records, store, kinds, bars, metric, sheet)
        return {name: save(figure, folder, name) for name, figure in drawn}


def _figures(
    records: pd.DataFrame, store: Store, kinds: tuple[str, ...], bars: str, metric: str, sheet: Sheet
) -> Iterator[tuple[str, Drawing]]:
    if "accuracy" in kinds:
        yield from accuracy_figures(records, bars=bars, metric=metric, sheet=sheet)  # type: ignore[arg-type]
    if "curves" in kinds:
        yield from curve_figures(records, store, sheet=sheet)
    if "published" in kinds:
        yield from beside_figures(records, bars=bars, sheet=sheet)  # type: ignore[arg-type]
