"""The command line: thin commands over the public API. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer import rich_utils as help_pages

from harness import __version__
from harness.api import groups
from harness.api import run as api_run
from harness.cli import options, output, provenance, show_student
from harness.cli import show as show_module
from harness.cli.bundle import bundle
from harness.cli.cite import cite
from harness.cli.consoles import message, plain, stderr, stdout, width
from harness.cli.data import data_app
from harness.cli.doctor import doctor
from harness.cli.inspect import inspect
from harness.cli.logs import logs
from harness.cli.misuse import is_misuse, say_misuse
from harness.cli.new import write_method
from harness.cli.output import print_summary
from harness.cli.published import published as published_numbers
from harness.cli.report import report
from harness.cli.sets import evaluate, export
from harness.cli.show import LISTS, Places, print_list
from harness.cli.show_plan import print_plan
from harness.cli.show_protocol import print_protocol
from harness.cli.status import status
from harness.cli.stopping import Stopping
from harness.cli.test import run_checks
from harness.cli.timeline import trace
from harness.cli.tune import tune
from harness.cli.verify import verify
from harness.core.errors import UserError, did_you_mean
from harness.planning.groups import members
from harness.planning.request import make_request

if TYPE_CHECKING:
    from harness.planning.request import RunRequest


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"harness {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="harness",
    help=(
        "The reference benchmark for dataset distillation: which method's distilled set trains the best student, at "
        "what cost, under a common protocol?\n\nFirst steps: `harness run --methods all --suite digits`, then "
        "`harness report`."
    ),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _every(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The first line of `harness --help` is that of the app."""


def main() -> NoReturn:
    """Entry point: what the user got wrong is one message and exit code 2; a signal ends a run as Ctrl-C does."""
    stopping = Stopping()
    help_pages.MAX_WIDTH = width()
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
        if is_misuse(error):
            say_misuse(error)
            sys.exit(2)
        if type(error).__name__ in ("Abort", "Exit"):
            sys.exit(getattr(error, "exit_code", 1))
        raise
    if code == 130:  # Typer turns Ctrl-C into this
        _say_stopped()
        sys.exit(stopping.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _say_stopped() -> None:
    stderr().print("Interrupted. Finished jobs are kept; run the same command again to resume.")


@app.command()
def run(
    context: typer.Context,
    suite: Annotated[
        str,
        typer.Option(
            help=(
                "Suite name (`harness list suites`), path of a suite YAML, a group such as `remote_sensing`, "
                "comma-separated names, or `all`."
            )
        ),
    ] = "digits",
    methods: Annotated[str, typer.Option(help="`all`, or comma-separated method names.")] = "all",
    ipc: Annotated[str | None, typer.Option(help="Images per class, comma-separated; default: the suite's.")] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--bytes",
            help=(
                "Storage budgets instead of IPCs, comma-separated: `8kB,75KiB`. Each set gets as many uncompressed "
                "images as fit."
            ),
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
    log: options.Log = None,
    config: options.Config = None,
    validation: options.Validation = None,
    validation_seed: options.ValidationSeed = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> int:
    """Distil with each method, train students on each distilled set, and show the leaderboard.

    Results that are already in the store are reused. Run the same command again to resume a killed run.

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
        "seeds": options.seeds(seeds, "--seeds"),
        "distill_seeds": options.seeds(distill_seeds, "--distill-seeds"),
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
        "log": options.names(log),
        "validation": validation,
        "validation_seed": validation_seed,
    }
    request = make_request(config=config, **(options.given(context, fields) if config else fields))
    suites = members(request.suite)
    if suites is not None:
        return _run_group(request, suites, dry_run=dry_run, quiet=quiet, verbose=verbose)
    say = None if dry_run else partial(stderr(quiet=quiet).print, highlight=False, markup=False)
    resolved, plan = api_run.prepare(request, say=say)
    if dry_run:
        print_plan(resolved, plan, stdout(), verbose=verbose)
        return 0
    done = api_run.execute_plan(resolved, plan, stderr(quiet=quiet))
    print_summary(done)
    return done.exit_code


def _run_group(request: RunRequest, suites: tuple[str, ...], *, dry_run: bool, quiet: bool, verbose: bool) -> int:
    """Run or plan the suites of a group; the exit code is the worst."""
    ready = groups.prepare_group(request, suites)
    if not dry_run:
        group = groups.run_group(request.suite, ready, stderr(quiet=quiet), print_summary)
        stdout().print(output.group_summary(group))
        return group.exit_code

    for suite, found in ready.items():
        stdout().print(f"suite {suite}", style="bold", highlight=False)
        if isinstance(found, UserError):
            stdout(soft_wrap=True).print("cannot run:", plain(str(found)))
        else:
            print_plan(*found, stdout(), verbose=verbose)
    return 2 if any(isinstance(found, UserError) for found in ready.values()) else 0


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
    kind: Annotated[str, typer.Argument(help="method, suite, student, protocol, run, job or log")],
    name: Annotated[str, typer.Argument(help="its name; for a job or a log: the first digits of the key")],
    plugin: options.Plugins = None,
    store: options.Store = "results",
    suite: Annotated[str | None, typer.Option(help="With a protocol: show the values that this suite uses.")] = None,
) -> int:
    """Describe a method, suite, student or protocol; list a run's records; trace a job to its inputs; print a job's log.

    Examples: `harness show method minimax`, `harness show protocol dsa --suite digits`, `harness show run first`,
    `harness show job 4f1d0c`, `harness show log 4f1d0c`.
    """
    if suite is not None and kind != "protocol":
        raise UserError(f"--suite works only with `harness show protocol`; omit it for `harness show {kind}`.")
    plugins = [str(p) for p in plugin or ()]
    known = {
        "method": lambda: show_module.print_method(name, stdout(), plugins=plugins),
        "suite": lambda: show_module.print_suite(name, stdout()),
        "student": lambda: show_student.print_student(name, stdout(), plugins=plugins),
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
    name: Annotated[str, typer.Argument(help="name of the method: a lower-case Python identifier")],
    folder: Annotated[Path, typer.Option("--to", help="Folder for the plugin and its test.")] = Path(),
) -> int:
    """Write a method plugin that runs on digits, and its test."""
    if kind != "method":
        raise UserError(f"cannot create a new {kind!r}. Known: method.")
    plugin, test_file = write_method(name, folder)
    console = stdout(soft_wrap=True)
    console.print(f"wrote {plugin} and {test_file}")
    console.print(f"run it   harness run --suite digits --methods {name},random_real --ipc 10 --plugin {plugin}")
    console.print(f"check it harness test method {name} --plugin {plugin}")
    console.print(f"test it  python -m pytest {test_file}")
    console.print("keep it  move the file into methods/; no list needs editing")
    return 0


# Below the commands of this file in --help.
for command in (inspect, report, cite, evaluate, tune, export, bundle, status, logs, trace, verify, doctor):
    app.command()(command)
app.command("published")(published_numbers)
app.command("test")(run_checks)
app.add_typer(data_app)


if __name__ == "__main__":
    main()
