"""Figures from records: accuracy against IPC and costs, training curves, measured against published.

No pyplot: no global state of matplotlib changes. The package is called plots because `harness.figures` is the function
of the public API. Importing it loads no matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.core.errors import UserError
from harness.reporters.figures.accuracy import accuracy_figures
from harness.reporters.figures.curves import curve_figures
from harness.reporters.figures.published_comparison import beside_figures
from harness.reporters.figures.style import save, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from harness.core.store import Store


Kind = Literal["accuracy", "curves", "published"]


KINDS = ("accuracy", "curves", "published")


CHOICES = {"kinds": KINDS, "bars": ("ci95", "std"), "metric": ("best", "last")}


def write_figures(
    records: pd.DataFrame, store: Store, folder: Path, *, kinds: tuple[str, ...], bars: str, metric: str
) -> dict[str, tuple[Path, Path]]:
    """Write the figures of these kinds; return name -> (PNG, PDF). Empty where there is nothing to draw.

    Raises:
        UserError: an unknown kind, error bar or metric; there are no records, or no published number of the suite.
    """
    for name, chosen in (("kinds", kinds), ("bars", (bars,)), ("metric", (metric,))):
        for value in chosen:
            if value not in CHOICES[name]:
                raise UserError(f"figures: {name} {value!r} is not known; choose from {', '.join(CHOICES[name])}.")

    with style():
        drawn = _figures(records, store, kinds, bars, metric)
        return {name: save(figure, folder, name) for name, figure in drawn}


def _figures(
    records: pd.DataFrame, store: Store, kinds: tuple[str, ...], bars: str, metric: str
) -> Iterator[tuple[str, Figure]]:

    if "accuracy" in kinds:
        yield from accuracy_figures(records, bars=bars, metric=metric)  # type: ignore[arg-type]
    if "curves" in kinds:
        yield from curve_figures(records, store)
    if "published" in kinds:
        yield from beside_figures(records, bars=bars)  # type: ignore[arg-type]
