"""`harness tune`: options of methods, under equal budgets, on a part of the training split."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from harness.cli import options
from harness.cli.consoles import message, plain, stderr, stdout
from harness.cli.output import print_tables
from harness.core.errors import UserError


def tune(
    chosen: Annotated[
        list[str] | None,
        typer.Argument(help="Methods, separated by commas or spaces, or `all`.", metavar="[METHODS]..."),
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Same as the argument.")] = None,
    suite: Annotated[str, typer.Option(help="Suite name, or path of a suite YAML.")] = "digits",
    ipc: Annotated[str | None, typer.Option(help="Images per class, comma-separated; default: the suite's.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials per method; the first one uses the default options.")] = 20,
    time: Annotated[
        str | None,
        typer.Option(
            help="Time limit per method, summed over its trials, e.g. `2h`; tuning stops at whichever limit comes first."
        ),
    ] = None,
    metric: Annotated[
        str, typer.Option(help="`top1_last` (final model) or `top1_best` (best evaluation).")
    ] = "top1_last",
    sampler: Annotated[str, typer.Option(help="`tpe`, `random`, or `grid`.")] = "tpe",
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="Search range of an option, `minimax.lambda_r=log(1e-4,1e-1)`, or a YAML file with several; repeatable."
        ),
    ] = None,
    tune_protocol: Annotated[
        str | None, typer.Option(help="Protocol fields to tune for each method, comma-separated: `lr`.")
    ] = None,
    objectives: Annotated[str, typer.Option(help="`accuracy`, or `accuracy,time` for a Pareto front.")] = "accuracy",
    validation: Annotated[float, typer.Option(help="Share of the training split used to score trials.")] = 0.2,
    validation_seed: options.ValidationSeed = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampler.")] = 0,
    workers: Annotated[
        int,
        typer.Option(
            min=1, help="Number of parallel trials; with `tpe`, more than one changes which options are tried."
        ),
    ] = 1,
    early_stopping: Annotated[
        bool, typer.Option(help="Stop trials early if their first results are in the worse half (ASHA).")
    ] = True,
    final: Annotated[
        bool, typer.Option(help="At the end, run default and tuned options on the test split and compare them.")
    ] = True,
    students: options.Students = None,
    protocol: options.ProtocolName = None,
    seeds: options.Seeds = None,
    distill_seeds: options.DistillSeeds = None,
    device: options.Device = "auto",
    settings: options.Settings = None,
    plugin: options.Plugins = None,
    store: options.Store = "results",
    data_root: options.DataRoot = "data",
    weights_root: options.WeightsRoot = None,
    dry_run: options.DryRun = False,
    name: Annotated[
        str | None, typer.Option(help="Name of the tuning; default: suite and a hash of the request.")
    ] = None,
) -> int:
    """Tune method options under equal budgets on a part of the training split; test on the test split afterwards.

    A tuning that was stopped goes on with the same command. What is tried: `harness show method NAME`.

    Examples: `harness tune minimax --suite digits --ipc 10 --trials 20`, `harness tune --methods all --trials 20
    --sampler random --workers 2`, `harness tune minimax --space 'minimax.lambda_r=log(1e-4,1e-1)' --no-final`.
    """
    from harness.api.tune import run as api_tune  # it imports matplotlib

    prepared = api_tune.prepare_tuning(
        api_tune.make_tune_request(
            methods=_methods(chosen, methods),
            suite=suite,
            ipc=options.numbers(ipc, "--ipc", 1),
            trials=trials,
            time=time,
            metric=metric,
            sampler=sampler,
            space=space or (),
            tune_protocol=options.names(tune_protocol) or (),
            objectives=options.names(objectives),
            validation=validation,
            validation_seed=validation_seed,
            seed=seed,
            workers=workers,
            early_stopping=early_stopping,
            final=final,
            students=options.names(students),
            protocol=protocol,
            seeds=options.seeds(seeds, "--seeds"),
            distill_seeds=options.seeds(distill_seeds, "--distill-seeds"),
            device=device,
            settings=settings or [],
            plugins=tuple(str(p) for p in plugin or ()),
            store=store,
            data_root=data_root,
            weights_root=weights_root,
            name=name,
        )
    )
    if dry_run:
        _print_plan(prepared)
        return 0
    done = api_tune.run_tuning(prepared, stderr())
    _print(done)
    return int(done.exit_code)


def _methods(chosen: list[str] | None, named: str | None) -> tuple[str, ...]:
    """Return the methods, from either place.

    Raises:
        UserError: none, or both.
    """
    if bool(chosen) == bool(named):
        raise UserError("harness tune: give the methods once: `harness tune minimax,dit` or `--methods minimax,dit`.")
    return options.names(named or ",".join(chosen or ())) or ()


def _print_plan(prepared: Any) -> None:
    """Print what would be tuned."""
    console = stdout(soft_wrap=True)
    request = prepared.request
    console.print(plain(f"tuning {prepared.name}: {request.sampler}, at most {request.trials} trials per method"))
    console.print(plain(f"scored on: {prepared.resolved.source_text}"))
    for space in prepared.spaces:
        console.print(plain(f"{space.method}{'' if space.dimensions else ': no options to tune, runs once'}"))
        for option, dimension in space.dimensions.items():
            console.print(plain(f"  {option}: {dimension}, default {space.default[option]}"))
        for note in space.notes:
            console.print(plain(f"  {note}"))
    for method, why in prepared.skipped.items():
        console.print(plain(f"{method}: skipped: {why}"))
    console.print("Dry run: nothing was run or written.")


def _print(done: Any) -> None:
    """Print the tables that are short, and where the files are."""
    print_tables({name: table for name, table in done.tables.items() if not table.long})
    console = stdout(soft_wrap=True)
    console.print(plain(f"trials   {done.folder / 'trials.csv'}"))
    for path in done.files.values():
        console.print(plain(f"best     {path} (harness run --config {path})"))
    console.print(plain(f"page     {done.page} (all of it in one file)"))
    if done.failed:
        message("failed:", f"{done.failed} trials; the table of trials gives the reasons")
