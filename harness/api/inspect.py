"""Compare the distilled images of a run with the real training images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserError
from harness.core.overrides import parse_overrides
from harness.core.run_folder import RunFolder
from harness.reporters.inspection import inspect_run
from harness.reporters.inspection.run_images import Named, open_run_images
from harness.reporters.runs import Run, as_frame, find_run, store_of

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
    suite: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    settings: Any = None,
) -> Inspection:
    """Compare a run's distilled images with the real training images in a feature space; draw into its folder.

    It reads the store and the real training images and is not part of the benchmark: records do not change. Safe for runs
    from other people: plugins, files, stores or folders that the run names are not used; pass them here.

    Args:
        run: what `run` returned, a run's name or folder; None: the newest run of the store.
        store: where runs are found by name, and sets if the run is not in a store.
        features: the network: "teacher" (of the run), or "timm:NAME" with its pretrained weights.
        projection: of the maps: "pca" or "tsne".
        data_root: folder that contains the image folders; None: "data".
        device: where features are computed: "auto", "cpu" or "cuda".
        suite: YAML file of the run's suite, if the suite is not built in.
        plugins: files with sources or students that the run needs.
        settings: overrides of the suite's source, {"data.root": "elsewhere"}.

    Returns:
        The table of representativeness, diversity, density and coverage, and the figures by name.

    Raises:
        UserError: no such run, unknown features or projection, or missing data, sets or teacher.
    """
    opened = RunFolder(find_run(run, store))
    overrides = parse_overrides(settings or {})
    if others := sorted(set(overrides) - {"data"}):
        raise UserError(
            f"inspect can override only fields of the suite's data source, e.g. data.root; found {others[0]}."
        )
    named = Named(
        data_root=str(data_root or "data"),
        device=device,
        suite=None if suite is None else str(suite),
        plugins=tuple(map(str, plugins)),
        data=overrides.get("data", {}),
    )
    images = open_run_images(opened, as_frame(opened.records), store_of(opened.path, store), named)
    return inspect_run(images, opened.ready(opened.figures), features, projection)
