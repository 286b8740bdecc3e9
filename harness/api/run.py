"""Run a request from Python, as the command line does: check it, plan it, run its jobs, write what it leaves."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from rich.console import Console

from harness.api.report import figures, report, save_tables
from harness.api.watching import make_monitor
from harness.core import disk
from harness.core.claims import Claims
from harness.core.environment import environment
from harness.core.errors import UserError
from harness.core.executors import ExecutorOptions, executors
from harness.core.overrides import without_effect
from harness.core.plugin import discovery
from harness.core.remote_errors import RemoteError
from harness.core.remote_runs import run_names, upload_run
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.execution.contact_sheets import write_sheets
from harness.execution.device import choose_device
from harness.execution.executor import ExecutorLost
from harness.execution.found import Found, find_artefacts
from harness.execution.progress import make_view
from harness.execution.records import make_records
from harness.execution.scheduler import Scheduler, StoreView
from harness.execution.status import Status
from harness.execution.time_limit import TimeLimit
from harness.execution.view import View, Views
from harness.jobs.job import Job
from harness.planning.as_trained import as_trained
from harness.planning.plan import Plan
from harness.planning.planner import make_plan
from harness.planning.preflight import check_disk, check_weights
from harness.planning.request import RunRequest, make_request
from harness.planning.request_file import request_text
from harness.planning.resolve import Resolved, resolve
from harness.reporters import page
from harness.reporters.runs import Run

if TYPE_CHECKING:
    from harness.execution.executor import Executor
    from harness.reporters.tables.table import Table


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
            weights_root, name, fresh, validation (0.2: accuracy on this share of the training split, not on the test split).

    Raises:
        UserError: the request is wrong; nothing was written.

    Example:
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
    views, request = Views(view, monitor), resolved.request
    absent = _absent(resolved.context.store)
    store = checked_store(resolved, plan)
    executor = make_executor(resolved, views, console)
    scheduler, claims = make_scheduler(resolved, plan, executor, views)
    folder = make_run_folder(resolved, store)
    about = describe_run(resolved, plan, folder.name)
    with _writing(store, folder):
        RunFolder(folder).write_about({**about, "status": "running"})
        RunFolder(folder).write_request(request_text(request))
    for line in without_effect(request.settings, (m.name for m in resolved.plan_input.methods)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(f"run {folder.name}: {_there(scheduler)}", highlight=False)
    ended: dict[str, Any] = {"status": "interrupted"}
    try:
        if scheduler.to_run():
            _start(executor, scheduler, store, folder, absent)
        with _writing(store, folder):
            monitor.begin(RunFolder(folder), scheduler.status, executor.machines)
        if scheduler.to_run():
            with view, claims:
                scheduler.run()
        ended = {"status": "failed" if scheduler.errors else "done"}
    except ExecutorLost as error:
        ended |= {"error": str(error)}
        raise
    except Exception as error:
        ended = {"status": "failed", "error": _one_line(error)}
        raise
    finally:
        about |= {**ended, "ended": _now(), "jobs": _outcome_counts(scheduler), "losses": _losses(plan, scheduler)}
        if folder.exists():
            with _writing(store, folder):  # before anything that takes time: the next signal may be the last
                RunFolder(folder).write_about(about)
        executor.stop()
        if folder.exists():
            found = find_artefacts(plan, store, scheduler)
            if ended["status"] == "done" and scheduler.errors:
                ended = {"status": "failed"}
            about |= {**ended, "jobs": _outcome_counts(scheduler)}
            with _writing(store, folder), monitor.leaving(ended["status"]):
                _leave(resolved, plan, scheduler, found, folder, about)
            upload_run(store, folder)
    return _as_run(plan, scheduler, folder)


def make_scheduler(
    resolved: Resolved, plan: Plan, executor: Executor, view: View
) -> tuple[Scheduler, contextlib.AbstractContextManager[Any]]:
    """Return what walks the plan over the request's store, and the claims within which it may."""
    store, request = resolved.context.store, resolved.request
    claims = None if request.fresh else Claims(store)  # a fresh run takes nothing that another makes
    stored = _store_view(store, request.fresh)
    scheduler = Scheduler(plan, stored, executor, view, claims=claims, retries=request.retries)
    return scheduler, claims or contextlib.nullcontext()


def checked_store(resolved: Resolved, plan: Plan) -> Store:
    """Return the store of a run for which everything is there that can be checked before it begins."""
    store = resolved.context.store
    check_name(resolved.request.name)
    check_weights(resolved, plan)
    check_disk(resolved, plan)
    store.check_writable()
    store.sweep()
    return store


def _store_view(store: Store, fresh: bool) -> StoreView:
    """Return what the scheduler asks of the store; a fresh run takes nothing from it."""

    def has(job: Job) -> bool:
        # `intact` sets aside what is there and not whole, so that this run says so and makes it again.
        return not fresh and (store.has(job.kind, job.key) or intact(job))

    def intact(job: Job) -> bool:
        return store.intact(job.kind, job.key)

    def has_anew(job: Job) -> bool:
        with contextlib.suppress(RemoteError):  # it is asked again
            return store.has(job.kind, job.key, anew=True)
        return False

    return StoreView(has, intact, has_anew)


def _absent(store: Store) -> list[Path]:
    """Return the folders of a store that are not there yet, the innermost first."""
    return [path for path in (store.runs, store.folder, store.root, *store.root.parents) if not path.exists()]


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


def _writing(store: Store, folder: Path) -> contextlib.AbstractContextManager[None]:
    """Turn a full disk, and whatever else refuses a run's files, into one message."""
    kept = f"What its jobs made is kept in {store.folder}, and what was written before in {folder}."
    return disk.one_message(f"run {folder.name}: its files could not be written", folder, kept)


def _leave(
    resolved: Resolved, plan: Plan, scheduler: Scheduler, found: dict[str, Found], folder: Path, about: dict[str, Any]
) -> None:
    """Write all files of a run that has ended; where that fails, its description says so."""
    try:
        RunFolder(folder).write_about(about)
        tables = finish(resolved, plan, scheduler, found, folder)
        if about["status"] != "interrupted" and _num_done(plan, scheduler):
            with contextlib.suppress(UserError):  # only the full data are done: there is nothing to draw
                figures(folder, kinds=("accuracy",))
        page.write_page(folder, tables)
    except Exception as error:
        failed = {"status": "failed", "error": f"while its files were written: {_one_line(error)}"}
        with contextlib.suppress(OSError):  # the error that came first says more
            RunFolder(folder).write_about(about | failed)
        with contextlib.suppress(UserError):
            upload_run(resolved.context.store, folder)
        raise


def _as_run(plan: Plan, scheduler: Scheduler, folder: Path) -> Run:
    counts = {k: v for k, v in _outcome_counts(scheduler).items() if k not in ("cached", "not needed")}
    errors = {plan.jobs[key].title: outcome.error for key, outcome in scheduler.errors.items()}
    causes = {plan.jobs[key].title: plan.jobs[o.cause].title for key, o in scheduler.errors.items() if o.cause}
    return Run(folder.name, folder, counts, errors, _num_done(plan, scheduler), causes)


def _num_done(plan: Plan, scheduler: Scheduler) -> int:
    return sum(row.train is not None and scheduler.status[row.train] in ("done", "cached") for row in plan.rows)


def _there(scheduler: Scheduler) -> str:
    """Return how many jobs there are, and how many need not run."""
    counts = _outcome_counts(scheduler)
    spared = f", {counts['not needed']} not needed" if counts["not needed"] else ""
    return f"{len(scheduler.status)} jobs, {counts['cached']} already in the store{spared}"


def _losses(plan: Plan, scheduler: Scheduler) -> list[dict[str, Any]]:
    """Return each try of a job that the system ended."""
    return [
        {"job": plan.jobs[key].title, "key": key, **asdict(loss)}
        for key, losses in scheduler.losses.items()
        for loss in losses
    ]


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def make_executor(resolved: Resolved, view: View, console: Console) -> Executor:
    """Return the executor that the request names."""
    request = resolved.request

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    options = ExecutorOptions(request.ray_address, request.workers, request.wait_for_nodes, view.note, say)
    executor: Executor = executors.get(request.executor)(resolved.context, options)
    return cast("Executor", TimeLimit(executor, request.job_timeout)) if request.job_timeout else executor


def check_name(wanted: str | None) -> None:
    """Refuse what is no plain folder name.

    Raises:
        UserError: says so.
    """
    if wanted is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}", wanted):
        raise UserError(f"--name {wanted!r}: expected a plain folder name of at most 100 letters, digits, _ . + or -.")


def make_run_folder(resolved: Resolved, store: Store) -> Path:
    """Make and return the folder of a new run; two runs begun in one second get two.

    Raises:
        UserError: the request names a run that exists already.
    """
    wanted = resolved.request.name
    stamp = wanted or f"{resolved.suite.name}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    taken = run_names(store)
    for number in itertools.count(1):
        folder = store.runs / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            if folder.name in taken:
                raise FileExistsError
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if wanted:
                raise UserError(
                    f"--name {wanted!r}: a run of that name exists in {store.uri}. Choose another name."
                ) from None
    raise AssertionError("count never ends")


def describe_run(resolved: Resolved, plan: Plan, name: str) -> dict[str, Any]:
    """Return the provenance of a run: request, suite, protocol, methods' configs, environment."""
    given = resolved.plan_input
    return {
        "name": name,
        "started": _now(),
        "request": resolved.request.model_dump(mode="json"),
        "suite": resolved.suite.model_dump(mode="json"),
        "source": resolved.source_text,
        "data_fingerprint": given.data_fingerprint,
        "classes": [c.id for c in given.classes],
        "class_names": [c.name for c in given.classes],
        "protocol": given.protocol.model_dump(mode="json"),
        "methods": {
            m.name: {**_cited(m.name), "config": m.config, "code": m.fingerprint, "skipped": m.skip or None}
            for m in given.methods
        },
        "planned": plan.counts(),
        "environment": environment(given.device),
    }


def _cited(name: str) -> dict[str, Any]:
    """Return version and reference of a method, and the title of given images; nothing for one that is not importable."""
    if name not in discovery.methods:
        return {}
    cls = discovery.methods.get(name)
    given = {"given": True, "title": cls.title} if cls.given else {}
    return {"version": cls.version, "reference": cls.reference, **given}


def _outcome_counts(scheduler: Scheduler) -> dict[str, int]:
    return {state: scheduler.status.counts[state] for state in get_args(Status)}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def finish(
    resolved: Resolved, plan: Plan, scheduler: Scheduler, found: dict[str, Found], folder: Path
) -> dict[str, Table]:
    """Write what a run leaves, but for figures and page: records, contact sheets, traceback and log of each failed job, tables.

    Returns:
        The tables by name.
    """
    own = RunFolder(folder)
    records = make_records(resolved, plan, scheduler, found, folder.name)
    own.write_records(records)  # first: whatever happens to the rest, `harness report` works
    for key, outcome in scheduler.errors.items():
        if scheduler.status[key] == "failed":
            own.write_error(plan.jobs[key].title, outcome.trace, outcome.log)
    write_sheets(records, resolved.context.classes, own.images)
    tables = report(folder)
    save_tables(folder, tables)
    return tables
