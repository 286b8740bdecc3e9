"""A look at the images of a run in a feature space: how well the sets cover the real images, and a map of both.

It is analysis, not part of the benchmark: no job, no key, no record. It reads training images, never the test split.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserError
from harness.reporters.figures.style import save, style
from harness.reporters.inspection.coverage import NEAREST, Scores, class_scores
from harness.reporters.inspection.maps import SHOWN_CLASSES, map_figures
from harness.reporters.tables.columns import Column, ipc_column, mean_column, word_column
from harness.reporters.tables.prepare import scopes
from harness.reporters.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from harness.reporters.inspection.run_images import RunImages


PROJECTIONS = ("pca", "tsne")


MOST_REAL = 1000
"""Real images of a class that are compared, at most; picked evenly over its files."""


_DIGITS = {"representativeness": 3, "diversity": 3, "density": 3, "coverage": 3}


@dataclass(frozen=True)
class Inspection:
    """What was found: the table of `coverage.*`, the figures by name -> files, and a line for each damaged set left out."""

    table: Table
    figures: dict[str, tuple[Path, ...]]
    left_out: tuple[str, ...] = ()


def inspect_run(opened: RunImages, folder: Path, features: str, projection: str) -> Inspection:
    """Compute scores and maps of an opened run and write them into `folder`: coverage.*, features_*.

    Raises:
        UserError: an unknown projection or network, or images cannot be read.
    """
    if projection not in PROJECTIONS:
        raise UserError(f"unknown projection {projection!r}; choose from {', '.join(PROJECTIONS)}.")
    extract = opened.extractor(features)
    scores, shown = _measure(opened, extract)
    table = _table(opened, scores, features)
    with style():
        drawn = map_figures(opened, shown, projection, features)
        figures = {name: save(figure, folder, name) for name, figure in drawn}
    table.save(folder, "coverage")
    return Inspection(table, figures, tuple(opened.store.damaged))


def _measure(opened: RunImages, extract: Any) -> tuple[pd.DataFrame, dict[Any, Any]]:
    """Return a row of scores per set and class, and the features of the first classes, for the maps."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    shown: dict[Any, Any] = {}
    for c in opened.context.classes:
        real_ND = opened.real_features(extract, c.id, MOST_REAL)
        if c.label < SHOWN_CLASSES:
            shown[None, c.id] = real_ND
        for made in opened.sets:
            made_MD = opened.made_features(extract, made, c)
            if c.label < SHOWN_CLASSES:
                shown[made, c.id] = made_MD
            rows.append(
                {"label": made.label, "ipc": made.ipc, "seed": made.seed, "class": c.id}
                | vars(class_scores(real_ND, made_MD))
            )
    return pd.DataFrame(rows), shown


def _table(opened: RunImages, scores: pd.DataFrame, features: str) -> Table:
    import pandas as pd

    scope = next(scopes(opened.rows, by_protocol=False))[0]
    names = [f.name for f in fields(Scores)]
    sets = scores.groupby(["label", "ipc", "seed"], sort=False)[names].mean()
    means = sets.groupby(["ipc", "label"], sort=True)
    lines = []
    for (ipc, label), group in means:
        line: dict[str, Any] = {"method_title": label, "ipc": ipc, "num_sets": len(group)}
        for name in names:
            line |= {f"{name}_mean": group[name].mean(), f"{name}_std": group[name].std(ddof=1)}
        lines.append(line)
    columns = (
        word_column("Method", "method_title"),
        ipc_column(),
        *(mean_column(n.capitalize(), f"{n}_mean", f"{n}_std", digits=_DIGITS[n]) for n in names),
        Column("n", "num_sets"),
    )
    few = sorted(set(scores.loc[scores["coverage"].isna(), "class"]))
    notes = (f"Density and coverage leave out {len(few)} classes of {NEAREST} real images or fewer.",) if few else ()
    caption = (
        f"{scope.caption} Features: {features}; cosine similarity, within each class, then the mean over classes; mean ± "
        f"sample standard deviation over n distilled sets. At most {MOST_REAL} real training images of a class. "
        "Representativeness: mean over the real images of the similarity to the nearest distilled image. Diversity: 1 - mean "
        "over the distilled images of the similarity to the nearest other. Density and coverage: Naeem et al., ICML 2020, "
        f"k = {NEAREST}. All grow with IPC or depend on it: compare methods at one IPC. A set of real images covers itself."
    )
    frame = pd.DataFrame([{**scope.columns(), "features": features, **line} for line in lines])
    return Table(f"Coverage of the real images: {scope.title}", caption, frame, columns, notes)
