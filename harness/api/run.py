"""Run a request from Python, as the command line does: check it, plan it, run its jobs, write what it leaves."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from harness.api.run_files import as_run, leave, losses_of, one_line, outcome_counts
from harness.api.run_result import Run
from harness.api.run_setup import (
    absent_folders,
    checked_store,
    describe_run,
    make_executor,
    make_run_folder,
    make_scheduler,
    now,
    writing_run,
)
from harness.api.watching import make_monitor
from harness.core.errors import UserError
from harness.core.remote_runs import upload_run
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.execution.device import choose_device
from harness.execution.executor import ExecutorLost
from harness.execution.found import find_artefacts
from harness.execution.progress import make_view
from harness.execution.view import Views
from harness.jobs.random_state import OUTSIDE
from harness.planning.as_trained import as_trained
from harness.planning.plan import Plan
from harness.planning.planner import make_plan
from harness.planning.remarks import remarks
from harness.planning.request import Names, Numbers, Paths, RunRequest, Settings, Sizes, make_request
from harness.planning.request_file import request_text
from harness.planning.resolve import Resolved, resolve
from harness.reporters.loggers.base import check_loggers
from harness.reporters.loggers.send import send

if TYPE_CHECKING:
    from harness.execution.executor import Executor
    from harness.execution.monitor import Monitor
    from harness.execution.scheduler import Scheduler


def prepare(
    request: RunRequest, device: str | None = None, *, say: Callable[[str], object] | None = None
) -> tuple[Resolved, Plan]:
    """Check a request and plan it for a device (None: `choose_device` says), on the sets that the store has; writes nothing.

    `say` is told what takes a while, after what is quickly checked.
    """
    check_loggers(request.log)
    resolved = resolve(request, device or choose_device(request), say=say)
    plan = make_plan(resolved.plan_input)
    return resolved, plan if request.fresh else as_trained(plan, resolved.context.store)


def run(
    *,
    methods: Names | None = None,
    suite: str | Path | None = None,
    ipc: Numbers | None = None,
    bytes: Sizes | None = None,
    students: Names | None = None,
    protocol: str | Path | None = None,
    seeds: Numbers | None = None,
    distill_seeds: Numbers | None = None,
    settings: Settings | None = None,
    plugins: Paths | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    executor: str | None = None,
    ray_address: str | None = None,
    workers: int | None = None,
    job_timeout: float | str | None = None,
    retries: int | None = None,
    wait_for_nodes: float | None = None,
    store: str | Path | None = None,
    data_root: str | Path | None = None,
    weights_root: str | Path | None = None,
    scores: bool | None = None,
    reference: bool | None = None,
    name: str | None = None,
    log: Names | None = None,
    fresh: bool | None = None,
    validation: float | None = None,
    validation_seed: int | None = None,
    config: str | Path | None = None,
    console: Console | None = None,
) -> Run:
    """Run a benchmark and return the run. Omitted arguments have the default of `RunRequest`, or the suite's value.

    Args:
        methods: names, or "all".
        suite: name of a suite, or path of its YAML file; needed unless `config` has it.
        ipc: images per class; bytes: instead of ipc, the size limit of a set ("8kB").
        students, protocol: instead of the suite's.
        seeds, distill_seeds: training seeds, and distillation seeds.
        settings: overrides, {"protocol.lr": 0.02, "minimax.epochs": 4}.
        plugins: files or folders with your own methods.
        device, executor, ray_address, workers, wait_for_nodes: where jobs run.
        job_timeout: "2h" or seconds; retries: for jobs whose worker or node was lost.
        store, data_root, weights_root: folders.
        scores: also compute label- and augmentation-robust scores.
        reference: False: with soft labels, do not add a random real subset to the methods.
        log: tensorboard, mlflow or wandb: loggers for the curves and final results of each training, written at the end of
            the run.
        name: of the run; fresh: run every job again, even if its result is in the store.
        validation, validation_seed: measure accuracy on this fraction of the training split instead of the test split.
        config: a file with a whole request, e.g. a run's request.yaml; arguments override it.
        console: output for progress; None: standard error.

    Raises:
        UserError: the request is wrong; nothing was written.

    Examples:
        >>> import harness
        >>> done = harness.run(methods=["random_real"], suite="digits", ipc=[10])  # doctest: +SKIP
        >>> harness.load_results(done)[["method", "student", "top1_best"]]  # doctest: +SKIP
    """
    fields = {name: value for name, value in locals().items() if name != "console"}
    resolved, plan = prepare(make_request(**fields))
    return execute_plan(resolved, plan, console or Console(stderr=True))


def execute_plan(resolved: Resolved, plan: Plan, console: Console) -> Run:
    """Run a plan's jobs, write records and reports, and return the run."""
    view = make_view(plan, console)
    monitor = make_monitor(resolved, plan, view)
    absent = absent_folders(resolved.context.store)
    store = checked_store(resolved, plan)
    executor = make_executor(resolved, Views(view, monitor), console)
    scheduler, claims = make_scheduler(resolved, plan, executor, Views(view, monitor))
    folder = make_run_folder(resolved, store)
    about = describe_run(resolved, plan, folder.name)
    with writing_run(store, folder):
        RunFolder(folder).write_about({**about, "status": "running"})
        RunFolder(folder).write_request(request_text(resolved.request))
    _announce(resolved, scheduler, folder, console)
    ended: dict[str, Any] = {"status": "interrupted"}
    try:
        if scheduler.to_run():
            _start(executor, scheduler, store, folder, absent)
        with writing_run(store, folder):
            monitor.begin(RunFolder(folder), scheduler.status, executor.machines)
        if scheduler.to_run():
            with view, claims:
                scheduler.run()
        ended = {"status": "failed" if scheduler.errors else "done"}
    except ExecutorLost as error:
        ended |= {"error": str(error)}
        raise
    except Exception as error:
        ended = {"status": "failed", "error": one_line(error)}
        raise
    finally:
        about |= {**ended, "ended": now(), "losses": losses_of(plan, scheduler)}
        _end(resolved, plan, scheduler, executor, monitor, folder, about)
    _warn(folder, console)
    if resolved.request.log:
        send(folder, store, resolved.request.log, lambda line: _say(console, line))
        upload_run(store, folder)
    return as_run(plan, scheduler, folder)


def _announce(resolved: Resolved, scheduler: Scheduler, folder: Path, console: Console) -> None:
    """Say which settings have no effect, what runs unasked, how many jobs there are, and how many need not run."""
    for line in remarks(resolved):
        _say(console, line)
    counts = outcome_counts(scheduler)
    spared = f", {counts['not needed']} not needed" if counts["not needed"] else ""
    there = f"{len(scheduler.status)} jobs, {counts['cached']} already in the store{spared}"
    console.print(f"run {folder.name}: {there}", highlight=False)


def _warn(folder: Path, console: Console) -> None:
    """Say which methods drew random numbers that no seed of the run reaches."""
    found: dict[str, None] = {}
    for record in RunFolder(folder).records:
        for note in (record.get("notes") or "").split("; "):
            if note.endswith(OUTSIDE):
                found[f"warning: {record['method']}: {note}"] = None
    for line in found:
        _say(console, line)


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _end(
    resolved: Resolved,
    plan: Plan,
    scheduler: Scheduler,
    executor: Executor,
    monitor: Monitor,
    folder: Path,
    about: dict[str, Any],
) -> None:
    """Give the executor back and write what the run leaves; nothing where no run was begun."""
    store = resolved.context.store
    if folder.exists():
        with writing_run(store, folder):  # before anything that takes time: the next signal may be the last
            RunFolder(folder).write_about({**about, "jobs": outcome_counts(scheduler)})
    executor.stop()
    if not folder.exists():
        return
    found = find_artefacts(plan, store, scheduler)
    if about["status"] == "done" and scheduler.errors:
        about["status"] = "failed"
    about["jobs"] = outcome_counts(scheduler)
    with writing_run(store, folder), monitor.leaving(about["status"]):
        leave(resolved, plan, scheduler, found, folder, about)
    upload_run(store, folder)


def _start(executor: Executor, scheduler: Scheduler, store: Store, folder: Path, absent: list[Path]) -> None:
    """Start the executor; where it cannot run these jobs nothing was begun, and nothing is left.

    Args:
        executor, scheduler, store, folder: of the run.
        absent: folders that were not there before it.

    Raises:
        UserError: it cannot.
    """
    try:
        executor.start(scheduler.to_run())
    except UserError:
        shutil.rmtree(folder)
        for path in absent:
            with contextlib.suppress(OSError):  # something else was put there meanwhile
                path.rmdir()
        raise
    upload_run(store, folder)  # the name is taken, for other machines too
