"""`harness inspect`: distilled beside real images in a feature space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli import options, output
from harness.cli.consoles import stdout
from harness.reporters import runs as ended_runs


def inspect(
    run: Annotated[str | None, typer.Argument(help="Name or folder of a run; default: the newest.")] = None,
    store: options.Store = "results",
    features: Annotated[
        str, typer.Option(help="Feature extractor: `teacher` (the run's), or `timm:NAME` (pretrained).")
    ] = "teacher",
    projection: Annotated[str, typer.Option(help="Projection of the feature maps: `pca`, or `tsne` (slower).")] = "pca",
    suite: Annotated[
        Path | None, typer.Option(help="YAML file of the run's suite, if the suite is not built in.")
    ] = None,
    data_root: options.DataRoot = "data",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a field of the suite's data source: `data.root=photos`; repeatable."),
    ] = None,
    plugin: options.Plugins = None,
    device: options.Device = "auto",
) -> int:
    """Compare distilled with real training images in a feature space: coverage, representativeness, maps of features.

    Safe for runs from other people: a plugin, suite file, store or folder that the run names is used only if you also
    name it.
    """
    from harness.api import inspect as api_inspect  # it imports torch and matplotlib

    folder = ended_runs.find_run(run, store)
    plugins = [str(path) for path in plugin or ()]
    named: dict[str, Any] = {"data_root": data_root, "suite": None if suite is None else str(suite), "plugins": plugins}
    output.print_not_used(folder, store=store, **named)
    done = api_inspect.inspect(
        folder, store, features=features, projection=projection, device=device, settings=settings, **named
    )
    console = stdout()
    console.print(done.table.to_rich(console.width))
    output.print_drawn(folder, done.figures)
    return 1 if done.left_out else 0
