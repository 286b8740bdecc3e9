"""Maps of real and distilled images: features in two dimensions, a figure per IPC, a facet per method.

In: features by set and class. Out: figures by name. As Figure 1 of Minimax Diffusion: real images pale, distilled strong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch.nn import functional

from harness.reporters.figures.style import EDGE, Look, facets, frame, label_outer, looks
from harness.reporters.tables.prepare import scopes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

    from harness.reporters.inspection.run_images import DistilledSetRef, RunImages


SHOWN_CLASSES = 10


SHOWN_REAL = 100
"""Real images of a class on a map, at most, evenly picked."""


Place = tuple["DistilledSetRef | None", str]
"""A set (None: the real images) and a class id."""


def map_figures(
    opened: RunImages, features: dict[Place, Tensor], projection: str, network: str
) -> Iterator[tuple[str, Figure]]:
    """Yield (name, figure): features_PROJECTION_ipcN of every IPC, of the first distillation seed."""
    first = min(made.seed for made in opened.sets)
    for ipc in sorted({made.ipc for made in opened.sets}):
        sets = [made for made in opened.sets if made.ipc == ipc and made.seed == first]
        if sets:
            yield f"features_{projection}_ipc{ipc}", _figure(opened, sets, features, projection, network)


def _figure(
    opened: RunImages, sets: list[DistilledSetRef], features: dict[Place, Tensor], projection: str, network: str
) -> Figure:
    classes = opened.context.classes[:SHOWN_CLASSES]
    points: dict[Place, Tensor] = {(None, c.id): _evenly(features[None, c.id]) for c in classes}
    points |= {(one, c.id): features[one, c.id] for one in sets for c in classes}
    places, axis = project(points, projection)
    figure, axes = facets([one.label for one in sets], sharex=True, sharey=True)
    found = looks(c.name for c in classes)
    for one, ax in zip(sets, axes.values(), strict=True):
        for c in classes:
            _draw(ax, places[None, c.id], places[one, c.id], found[c.name])
        ax.tick_params(labelleft=False, labelbottom=False, length=0)
    label_outer(axes.values(), axis[0], axis[1])
    notes = [
        f"Features: {network}, of length 1. Small and pale: real training images, at most {SHOWN_REAL} of a class."
    ]
    if projection == "tsne":
        notes.append(
            "t-SNE (perplexity 30, one map of all facets' points): neighbours mean something, distances do not."
        )
    else:
        notes.append("Principal components of the real images; every facet has the same axes.")
    left_out = len(opened.context.classes) - len(classes)
    notes += [f"The first {len(classes)} classes; {left_out} more are not shown."] if left_out else []
    scope = next(scopes(opened.rows, by_protocol=False))[0]
    title = f"{scope.title}: real and distilled images, IPC {sets[0].ipc}"
    frame(figure, title, scope.caption, notes, [_handle(name, look) for name, look in found.items()])
    return figure


def project(features: dict[Place, Tensor], projection: str) -> tuple[dict[Place, np.ndarray], tuple[str, str]]:
    """Return places [n, 2] of every set and class, and the names of the axes.

    PCA is fitted on the real images alone; t-SNE places everything at once. Both are the same on every call.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    points = {place: functional.normalize(x.float(), dim=1).numpy() for place, x in features.items()}
    stacked = np.concatenate(list(points.values()))
    if projection == "tsne":
        perplexity = min(30.0, (len(stacked) - 1) / 3)
        flat = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(stacked)
        axis = ("t-SNE 1", "t-SNE 2")
    else:
        real = np.concatenate([x for (one, _), x in points.items() if one is None])
        pca = PCA(2, svd_solver="full").fit(real)
        flat = pca.transform(stacked)
        one, two = pca.explained_variance_ratio_
        axis = (f"PC 1 ({100 * one:.0f} % of variance)", f"PC 2 ({100 * two:.0f} %)")
    ends = np.cumsum([len(x) for x in points.values()])[:-1]
    return dict(zip(points, np.split(flat, ends), strict=True)), axis


def _evenly(real_ND: Tensor) -> Tensor:
    num = len(real_ND)
    return real_ND if num <= SHOWN_REAL else real_ND[torch.arange(SHOWN_REAL) * num // SHOWN_REAL]


def _draw(ax: Axes, real: np.ndarray, made: np.ndarray, look: Look) -> None:
    ax.scatter(real[:, 0], real[:, 1], s=5, color=look.color, alpha=0.3, linewidth=0, zorder=1)
    ax.scatter(made[:, 0], made[:, 1], s=30, color=look.color, marker=look.marker, zorder=2, **EDGE)


def _handle(label: str, look: Look) -> Line2D:
    style: dict[str, Any] = {"markeredgecolor": "#333333", "markeredgewidth": 0.4, "linestyle": "none"}
    return Line2D([], [], color=look.color, marker=look.marker, label=label, **style)
