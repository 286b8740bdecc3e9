"""Run a request from Python, as the command line does: check it, plan it, run its jobs, write what it leaves."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harness.api.run_files import as_run, leave, losses_of, one_line, outcome_counts
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
from harness.planning.as_trained import as_trained
from harness.planning.plan import Plan
from harness.planning.planner import make_plan
from harness.planning.remarks import remarks
from harness.planning.request import RunRequest, make_request
from harness.planning.request_file import request_text
from harness.planning.resolve import Resolved, resolve
from harness.reporters.runs import Run

if TYPE_CHECKING:
    from harness.execution.executor import Executor
    from harness.execution.monitor import Monitor
    from harness.execution.scheduler import Scheduler


def prepare(request: RunRequest, device: str | None = None) -> tuple[Resolved, Plan]:
    """Check a request and plan it for a device (None: `choose_device` says), on the sets that the store has; writes nothing."""
    resolved = resolve(request, device or choose_device(request))
    plan = make_plan(resolved.plan_input)
    return resolved, plan if request.fresh else as_trained(plan, resolved.context.store)


def run(*, console: Console | None = None, config: str | Path | None = None, **fields: Any) -> Run:
    """Run a benchmark and return where its results are.

    Args:
        console: where progress goes; None: standard error.
        config: a file with a whole request, such as a run's request.yaml or a tuning's best.yaml; fields given here win.
        **fields: those of `RunRequest`: methods, suite, ipc, bytes, students, protocol, seeds, distill_seeds, settings
            ({"protocol.lr": 0.02}), plugins, device, executor, workers, retries, job_timeout ("2h"), store, data_root,
            weights_root, name, fresh, validation (0.2: accuracy on this share of the training split, not on the test
            split), reference (False: under soft labels, no random real subset beside the methods that are named).

    Raises:
        UserError: the request is wrong; nothing was written.

    Examples:
        >>> import harness
        >>> done = harness.run(methods=["random_real"], suite="digits", ipc=[10])  # doctest: +SKIP
        >>> harness.load_results(done)[["method", "student", "top1_best"]]  # doctest: +SKIP
    """
    request = make_request(config=config, **fields)
    resolved, plan = prepare(request)
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
    return as_run(plan, scheduler, folder)


def _announce(resolved: Resolved, scheduler: Scheduler, folder: Path, console: Console) -> None:
    """Say which settings have no effect, what runs unasked, how many jobs there are, and how many need not run."""
    for line in remarks(resolved):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    counts = outcome_counts(scheduler)
    spared = f", {counts['not needed']} not needed" if counts["not needed"] else ""
    there = f"{len(scheduler.status)} jobs, {counts['cached']} already in the store{spared}"
    console.print(f"run {folder.name}: {there}", highlight=False)


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
