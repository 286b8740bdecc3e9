"""The command line: thin commands over the public API. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from harness.api import groups
from harness.api import run as api_run
from harness.cli import options, output, provenance
from harness.cli import show as show_module
from harness.cli.bundle import bundle
from harness.cli.consoles import message, plain, stderr, stdout
from harness.cli.data import data_app
from harness.cli.doctor import doctor
from harness.cli.logs import logs
from harness.cli.new import write_method
from harness.cli.output import print_summary
from harness.cli.published import published as published_numbers
from harness.cli.report import report
from harness.cli.sets import evaluate, export
from harness.cli.show import LISTS, Places, print_list, print_plan
from harness.cli.show_protocol import print_protocol
from harness.cli.status import status
from harness.cli.stopping import Stopping
from harness.cli.timeline import trace
from harness.cli.tune import tune
from harness.cli.verify import verify
from harness.core.errors import UserError, did_you_mean
from harness.planning.groups import members
from harness.planning.request import make_request
from harness.reporters import runs as ended_runs

if TYPE_CHECKING:
    from harness.planning.request import RunRequest


app = typer.Typer(
    name="harness",
    help="The reference benchmark for dataset distillation: which method's distilled set trains the best student, at "
    "which cost, under one protocol?\n\nFirst steps: `harness run --methods all --suite digits`, then `harness report`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Entry point: what the user got wrong is one message and exit code 2; a signal ends a run as Ctrl-C does."""
    stopping = Stopping()
    try:
        with stopping:
            code = app(standalone_mode=False)
    except UserError as error:
        message("error:", str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        _say_stopped()
        sys.exit(stopping.exit_code)
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")) and hasattr(error, "format_message"):
            error.show() if hasattr(error, "show") else print(error.format_message(), file=sys.stderr)
            sys.exit(2)
        if type(error).__name__ in ("Abort", "Exit"):
            sys.exit(getattr(error, "exit_code", 1))
        raise
    if code == 130:  # Typer turns Ctrl-C into this
        _say_stopped()
        sys.exit(stopping.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _say_stopped() -> None:
    stderr().print("stopped; what was finished is kept, and the same command goes on from there")


@app.command()
def run(
    context: typer.Context,
    suite: Annotated[
        str,
        typer.Option(
            help="Suite name (`harness list suites`), path of a suite YAML, a group such as `remote_sensing`, names with "
            "commas, or `all`."
        ),
    ] = "digits",
    methods: Annotated[str, typer.Option(help="`all`, or method names with commas.")] = "all",
    ipc: Annotated[str | None, typer.Option(help="Images per class, with commas; default: the suite's.")] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--bytes",
            help="Budgets in bytes in place of IPCs, with commas: `8kB,75KiB`. As many images as fit, uncompressed.",
        ),
    ] = None,
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
    reference: options.Reference = True,
    fresh: options.Fresh = False,
    name: options.RunName = None,
    config: options.Config = None,
    validation: options.Validation = None,
    validation_seed: options.ValidationSeed = 0,
) -> int:
    """Distil with each method, train students on each distilled set, and show the leaderboard.

    What is in the store is not run again; a run that was killed goes on with the same command.

    Examples: `harness run --suite digits` (runs anywhere, minutes), `harness run --suite digits --methods minimax,dit
    --ipc 10 --seeds 0,1,2,3,4`, `harness run --plugin mine.py --dry-run`, `harness run --config best.yaml --name tuned`.
    """
    fields: dict[str, Any] = {
        "suite": suite,
        "methods": options.names(methods),
        "ipc": options.numbers(ipc, "--ipc", 1),
        "bytes": options.names(size),
        "students": options.names(students),
        "protocol": protocol,
        "seeds": options.numbers(seeds, "--seeds", 0),
        "distill_seeds": options.numbers(distill_seeds, "--distill-seeds", 0),
        "executor": executor,
        "ray_address": ray_address,
        "wait_for_nodes": wait_for_nodes,
        "workers": workers,
        "job_timeout": job_timeout,
        "retries": retries,
        "device": device,
        "settings": settings or [],
        "plugins": tuple(str(p) for p in plugin or ()),
        "store": store,
        "data_root": data_root,
        "weights_root": weights_root,
        "scores": scores,
        "reference": reference,
        "fresh": fresh,
        "name": name,
        "validation": validation,
        "validation_seed": validation_seed,
    }
    request = make_request(config=config, **(options.given(context, fields) if config else fields))
    suites = members(request.suite)
    if suites is not None:
        return _run_group(request, suites, dry_run)
    resolved, plan = api_run.prepare(request)
    if dry_run:
        print_plan(resolved, plan, stdout())
        return 0
    done = api_run.execute_plan(resolved, plan, stderr())
    print_summary(done)
    return done.exit_code


def _run_group(request: RunRequest, suites: tuple[str, ...], dry_run: bool) -> int:
    """Run or plan the suites of a group; the exit code is the worst."""
    ready = groups.prepare_group(request, suites)
    if not dry_run:
        group = groups.run_group(request.suite, ready, stderr(), print_summary)
        stdout().print(output.group_summary(group))
        return group.exit_code

    for suite, found in ready.items():
        stdout().print(f"suite {suite}", style="bold", highlight=False)
        if isinstance(found, UserError):
            stdout(soft_wrap=True).print("cannot run:", plain(str(found)))
        else:
            print_plan(*found, stdout())
    return 2 if any(isinstance(found, UserError) for found in ready.values()) else 0


@app.command()
def inspect(
    run: Annotated[str | None, typer.Argument(help="Name or folder of a run; default: the newest.")] = None,
    store: options.Store = "results",
    features: Annotated[str, typer.Option(help="`teacher`, that of the run, or `timm:NAME`, pretrained.")] = "teacher",
    projection: Annotated[str, typer.Option(help="Of the maps: `pca`, or `tsne`, which takes longer.")] = "pca",
    suite: Annotated[
        Path | None, typer.Option(help="YAML file of the run's suite, where it does not come with the harness.")
    ] = None,
    data_root: options.DataRoot = "data",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override the suite's source: `data.root=photos`; repeatable.")
    ] = None,
    plugin: options.Plugins = None,
    device: options.Device = "auto",
) -> int:
    """Compare distilled with real training images in a feature space: coverage, representativeness, maps of features.

    The run may come from anybody: no plugin, suite file, store or folder that it names is used unless you name it too.
    """
    from harness.api import inspect as inspect_module  # it imports torch and matplotlib

    folder = ended_runs.find_run(run, store)
    plugins = [str(path) for path in plugin or ()]
    named: dict[str, Any] = {"data_root": data_root, "suite": None if suite is None else str(suite), "plugins": plugins}
    output.print_not_used(folder, store=store, **named)
    done = inspect_module.inspect(
        folder, store, features=features, projection=projection, device=device, settings=settings, **named
    )
    console = stdout()
    console.print(done.table.to_rich(console.width))
    output.print_drawn(folder, done.figures)
    return 1 if done.left_out else 0


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="methods, suites, students, protocols or runs")],
    plugin: options.Plugins = None,
    store: options.Store = "results",
    data_root: options.DataRoot = "data",
    weights_root: options.WeightsRoot = None,
) -> int:
    """List methods, suites, students, protocols or runs."""
    if what not in LISTS:
        raise UserError(f"cannot list {what!r}.{did_you_mean(what, list(LISTS))} Known: {', '.join(LISTS)}.")
    print_list(what, stdout(), plugins=[str(p) for p in plugin or ()], places=Places(store, data_root, weights_root))
    return 0


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="method, suite, protocol, run, job or log")],
    name: Annotated[str, typer.Argument(help="its name; of a job and its log the first digits of the key")],
    plugin: options.Plugins = None,
    store: options.Store = "results",
    suite: Annotated[str | None, typer.Option(help="Of a protocol: its fields as this suite changes them.")] = None,
) -> int:
    """Explain a method, a suite or a protocol; list a run's records; trace a job to its inputs; print a job's log.

    Examples: `harness show method minimax`, `harness show protocol dsa --suite digits`, `harness show run first`,
    `harness show job 4f1d0c`, `harness show log 4f1d0c`.
    """
    if suite is not None and kind != "protocol":
        raise UserError(f"--suite is for `harness show protocol`; leave it out of `harness show {kind}`.")
    plugins = [str(p) for p in plugin or ()]
    known = {
        "method": lambda: show_module.print_method(name, stdout(), plugins=plugins),
        "suite": lambda: show_module.print_suite(name, stdout()),
        "protocol": lambda: print_protocol(name, stdout(), suite=suite, plugins=plugins),
        "run": lambda: provenance.print_run(name, store, stdout()),
        "job": lambda: provenance.print_job(name, store, stdout(), plugins=plugins),
        "log": lambda: provenance.print_log(name, store, stdout()),
    }
    if kind not in known:
        raise UserError(f"cannot show {kind!r}.{did_you_mean(kind, list(known))} Known: {', '.join(known)}.")
    known[kind]()
    return 0


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="method")],
    name: Annotated[str, typer.Argument(help="a lower-case Python name")],
    folder: Annotated[Path, typer.Option("--to", help="Folder for the plugin and its test.")] = Path(),
) -> int:
    """Write a method plugin that runs on digits, and its test."""
    if kind != "method":
        raise UserError(f"cannot make a new {kind!r}. Known: method.")
    plugin, test = write_method(name, folder)
    console = stdout(soft_wrap=True)
    console.print(f"wrote {plugin} and {test}")
    console.print(f"run it   harness run --suite digits --methods {name},random_real --ipc 10 --plugin {plugin}")
    console.print(f"test it  python -m pytest {test}")
    console.print("keep it  move the file into methods/; no list needs editing")
    return 0


for command in (
    report,
    evaluate,
    tune,
    export,
    bundle,
    status,
    logs,
    trace,
    verify,
    doctor,
):  # below the commands of this file in --help
    app.command()(command)
app.command("published")(published_numbers)
app.add_typer(data_app)


if __name__ == "__main__":
    main()
