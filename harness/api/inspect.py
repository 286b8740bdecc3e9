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

    It reads the store and the real training images, computes, and is no part of the benchmark: no record changes. The run
    may come from anybody: no plugin, file, store or folder that it names is used; name them here.

    Args:
        run: what `run` returned, a run's name or folder; None: the newest run of the store.
        store: where runs are looked for by name, and sets where the run lies in no store.
        features: the network: "teacher", that of the run's jobs, or "timm:NAME" with its pretrained weights.
        projection: of the maps: "pca" or "tsne".
        data_root: folder under which image folders lie; None: "data".
        device: where features are computed: "auto", "cpu" or "cuda".
        suite: YAML file of the run's suite, where it does not come with the harness.
        plugins: files with sources or students that the run needs.
        settings: overrides of the suite's source, {"data.root": "elsewhere"}.

    Returns:
        The table of representativeness, diversity, density and coverage, and the figures by name.

    Raises:
        UserError: no such run, unknown features or projection, or data, sets or teacher are not there.
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
