"""`harness evaluate` and `harness export`: sets that come from elsewhere, and sets that go elsewhere."""

from __future__ import annotations

import json
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
from harness.core.text import byte_size
from harness.data.sets.export import MANIFEST


def evaluate(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Folder with one subfolder per class; a file of tensors; or two files: images, then labels."
        ),
    ],
    as_name: Annotated[str, typer.Option("--as", help="Name of its row: a lower-case word, e.g. `rded_release`.")],
    suite: Annotated[str, typer.Option(help="Suite name (`harness list suites`) or path of a suite YAML.")] = "digits",
    ipc: Annotated[
        str | None,
        typer.Option(
            help="Images per class to use, comma-separated; default: all, if all classes have the same number."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title in tables; default: the name.")] = None,
    pick: Annotated[
        str,
        typer.Option(
            help="If a class has more images than IPC: use the `first` ones (byte order), or a seeded `random` subset."
        ),
    ] = "first",
    class_order: Annotated[
        str | None,
        typer.Option(
            "--class-order",
            help=(
                "Meaning of numeric classes: the suite's `labels` order, `sorted` class ids (as in torchvision's "
                "ImageFolder), or a file with one class id per line. Required if the first two differ."
            ),
        ),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            help=(
                "`protocol`: labels as the protocol defines them; `own`: train with the soft labels that are part of "
                "the set."
            )
        ),
    ] = "protocol",
    normalised: Annotated[
        str | None,
        typer.Option(
            help=(
                "Normalisation of float tensors: `cifar10`, `cifar100`, `imagenet`, `mnist`, `fashion_mnist`, `svhn`, "
                "`zca` (inverted with the real training images), `none` (0 is black, 1 is white), or MEAN/STD, e.g. "
                "`0.485,0.456,0.406/0.229,0.224,0.225`."
            )
        ),
    ] = None,
    keep_float: Annotated[
        bool, typer.Option("--keep-float", help="Train on the published float32 pixels, without clipping or rounding.")
    ] = False,
    methods: Annotated[str | None, typer.Option(help="More methods for the same tables, comma-separated.")] = None,
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
    log: options.Log = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> int:
    """Train and score students on an existing image set, and list it as a method.

    The command first prints what it found. Wrong images give one message and exit code 2; nothing is written. Files are
    never unpickled.

    Layouts of published sets:

    | Layout | Holds | Of |
    | --- | --- | --- |
    | class folders | `CLASS/*.png`; CLASS is a class id or number | `harness export`, RDED |
    | SRe2L | `new000/*.jpg`, `new001/*.jpg`, ... | SRe2L, CDA, SCDD |
    | DC | `{'data': [[images, labels], ...]}`; a seed per set | DC, DSA, DM |
    | two files | `images_best.pt labels_best.pt`, or their folder | MTT, TESLA, DATM |
    | DD-Ranking | `images.pt labels.pt`, or their folder | DD-Ranking |
    | pair | `[images, labels]` or `(images, labels)` | `torch.save` |
    | named tensors | `images`, `labels`, `soft_labels`; or `image_syn`, `label_syn`, `x_train`, `y_train` | .pt, .npz |

    Examples: `harness evaluate exported --suite digits --ipc 10 --as mine`, `harness evaluate images_best.pt labels_best.pt
    --suite cifar10 --as mtt --protocol dsa --normalised zca`, `harness evaluate theirs.pt --suite digits --as theirs
    --labels own --protocol rded`.
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
        keep_float=keep_float,
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
        log=options.names(log),
    ) as ready:
        told = stderr(soft_wrap=True, markup=False, quiet=quiet)
        for line in ready.about:
            told.print(plain(line))
        if dry_run:
            print_plan(ready.resolved, ready.plan, stdout(), verbose=verbose)
            return 0
        done = execute_plan(ready.resolved, ready.plan, stderr(quiet=quiet))
        doubts = ready.doubts(done)
    print_summary(done)
    for line in doubts:
        told.print(plain(line))
    return done.exit_code


def export(
    run: Annotated[str | None, typer.Argument(help="Name or folder of a run; default: the newest.")] = None,
    *,
    method: Annotated[str, typer.Option(help="Method that made the set.")],
    ipc: Annotated[int, typer.Option(min=1, help="Images per class of the set.")],
    to: Annotated[Path, typer.Option("--to", help="Output folder: new or empty.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help=(
                "`imagefolder`, `webdataset` (tar shards), `parquet` (Hugging Face), or a format of the authors' "
                "code: `dc`, `mtt`, `ddranking`, `sre2l`."
            ),
        ),
    ] = "imagefolder",
    distill_seed: Annotated[
        int | None, typer.Option("--distill-seed", help="Distillation seed, if the run made several sets.")
    ] = None,
    store: options.Store = "results",
) -> int:
    """Write a distilled set of a run for use in other tools; existing files are never overwritten.

    Examples: `harness export first --method random_real --ipc 10 --to exported`, `harness export --method minimax
    --ipc 50 --to shards --format webdataset`.
    """
    folder = write(run, method=method, ipc=ipc, to=to, format=format_, distill_seed=distill_seed, store=store)
    console = stdout(soft_wrap=True, markup=False)
    console.print(plain(f"wrote {folder} ({format_}): {_contents(folder)}"))
    return 0


def _contents(folder: Path) -> str:
    """Return how many images of how many classes an exported folder holds, and its bytes."""
    about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    per_class, num_classes = about["ipc"] * (about["draws"] or 1), len(about["classes"])
    return f"{per_class * num_classes:,} images, {per_class} of each of {num_classes} classes; {byte_size(size)}"
