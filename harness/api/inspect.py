"""Compare the distilled images of a run with the real training images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.reporters.inspection import inspect_run
from harness.reporters.inspection.run_images import open_run
from harness.reporters.runs import Run, find_run, load_results, store_of

if TYPE_CHECKING:
    from harness.reporters.inspection import Inspection


def inspect(
    run: Run | Path | str | None = None,
    store: str | Path = "results",
    *,
    features: str = "teacher",
    projection: str = "pca",
    data_root: str | None = None,
    device: str = "auto",
) -> Inspection:
    """Compare a run's distilled images with the real training images in a feature space; write into its figures/.

    It reads the store and the real training images, computes, and is no part of the benchmark: no record changes.

    Args:
        run: what `run` returned, a run's name or folder; None: the newest run of the store.
        store: where runs are looked for by name.
        features: the network: "teacher", that of the run's jobs, or "timm:NAME" with its pretrained weights.
        projection: of the maps: "pca" or "tsne".
        data_root: folder under which image folders lie; None: where they lay when the run was made.
        device: where features are computed: "auto", "cpu" or "cuda".

    Returns:
        The table of representativeness, diversity, density and coverage, and the figures by name.

    Raises:
        UserError: no such run, unknown features or projection, or data, sets or teacher are not there.
    """

    folder = find_run(run, store)
    opened = open_run(folder, load_results(folder), store_of(folder), data_root, device)
    return inspect_run(opened, folder / "figures", features, projection)
