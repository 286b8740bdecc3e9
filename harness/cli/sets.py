"""`harness evaluate` and `harness export`: sets that come from elsewhere, and sets that go elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.api.evaluate import evaluation
from harness.api.export import export as write
from harness.api.run import execute_plan
from harness.cli import options
from harness.cli.consoles import plain, stderr, stdout
from harness.cli.output import print_summary
from harness.cli.show_plan import print_plan


def evaluate(
    images: Annotated[Path, typer.Argument(help="Folder with one folder a class, or a file: .pt, .npz, .safetensors.")],
    as_name: Annotated[str, typer.Option("--as", help="Name of its row: a lower-case word, such as `rded_release`.")],
    suite: Annotated[str, typer.Option(help="Suite name (`harness list suites`) or path of a suite YAML.")] = "digits",
    ipc: Annotated[
        str | None,
        typer.Option(help="Images per class to take, with commas; default: all, where classes have as many."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="What tables call it; default: the name.")] = None,
    pick: Annotated[
        str, typer.Option(help="Of more images than IPC: the `first` in byte order, or `random` ones by seed.")
    ] = "first",
    class_order: Annotated[
        str | None,
        typer.Option(
            "--class-order",
            help="What numbers in place of class ids mean: the suite's `labels`, the `sorted` class ids (as torchvision's "
            "ImageFolder), or a file with a class id a line. Needed where the first two differ.",
        ),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            help="`protocol`: labels as the protocol says; `own`: train with the soft labels that came along."
        ),
    ] = "protocol",
    normalised: Annotated[
        str | None,
        typer.Option(help="MEAN/STD that float tensors were normalised with: `0.485,0.456,0.406/0.229,0.224,0.225`."),
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Further methods for the same tables, with commas.")] = None,
    students: options.Students = None,
    protocol: options.ProtocolName = None,
    seeds: options.Seeds = None,
    distill_seeds: options.DistillSeeds = None,
    executor: options.Executor = "ray",
    ray_address: options.RayAddress = None,
    wait_for_nodes: options.WaitForNodes = 0.0,
    workers: options.Workers = None,
    job_timeout: options.JobTimeout = None,
    retries: options.Retries = 2,
    device: options.Device = "auto",
    settings: options.Settings = None,
    plugin: options.Plugins = None,
    store: options.Store = "results",
    data_root: options.DataRoot = "data",
    weights_root: options.WeightsRoot = None,
    dry_run: options.DryRun = False,
    scores: options.Scores = False,
    fresh: options.Fresh = False,
    name: options.RunName = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> int:
    """Score images that were made elsewhere, as a method of their own: students, protocol and tables as for any other.

    What was taken for what is printed first. Wrong images give one message and exit code 2, and nothing is written.

    Examples: `harness evaluate exported --suite digits --ipc 10 --as mine`, `harness evaluate theirs.pt --suite digits
    --as theirs --labels own --protocol rded`.
    """
    with evaluation(
        images,
        as_name=as_name,
        title=title,
        suite=suite,
        ipc=options.numbers(ipc, "--ipc", 1),
        pick=pick,
        class_order=class_order,
        normalised=normalised,
        labels=labels,
        methods=options.names(methods),
        students=options.names(students),
        protocol=protocol,
        seeds=options.seeds(seeds, "--seeds"),
        distill_seeds=options.seeds(distill_seeds, "--distill-seeds"),
        executor=executor,
        ray_address=ray_address,
        wait_for_nodes=wait_for_nodes,
        workers=workers,
        job_timeout=job_timeout,
        retries=retries,
        device=device,
        settings=settings or [],
        plugins=tuple(str(p) for p in plugin or ()),
        store=store,
        data_root=data_root,
        weights_root=weights_root,
        scores=scores,
        fresh=fresh,
        name=name,
    ) as ready:
        told = stderr(soft_wrap=True, markup=False, quiet=quiet)
        for line in ready.about:
            told.print(plain(line))
        if dry_run:
            print_plan(ready.resolved, ready.plan, stdout(), verbose=verbose)
            return 0
        done = execute_plan(ready.resolved, ready.plan, stderr(quiet=quiet))
    print_summary(done)
    return done.exit_code


def export(
    run: Annotated[str | None, typer.Argument(help="Name or folder of a run; default: the newest.")] = None,
    *,
    method: Annotated[str, typer.Option(help="Whose set.")],
    ipc: Annotated[int, typer.Option(min=1, help="Its images per class.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to write: new, or empty.")],
    format_: Annotated[
        str, typer.Option("--format", help="`imagefolder`, `webdataset` (tar shards) or `parquet` (Hugging Face).")
    ] = "imagefolder",
    distill_seed: Annotated[
        int | None, typer.Option("--distill-seed", help="Which set, where the run made several.")
    ] = None,
    store: options.Store = "results",
) -> int:
    """Write a distilled set of a run for other tools; nothing that exists is overwritten.

    Examples: `harness export first --method random_real --ipc 10 --to exported`, `harness export --method minimax
    --ipc 50 --to shards --format webdataset`.
    """
    folder = write(run, method=method, ipc=ipc, to=to, format=format_, distill_seed=distill_seed, store=store)
    console = stdout(soft_wrap=True, markup=False)
    console.print(plain(f"wrote {folder} ({format_})"))
    return 0
