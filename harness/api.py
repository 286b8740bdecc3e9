"""Run a request from Python, as the command line does: check it, plan it, run its jobs, write what it leaves."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harness.as_trained import as_trained
from harness.errors import UserError
from harness.plan import Job, Plan
from harness.planner import make_plan
from harness.preflight import check_disk, check_weights
from harness.request import RunRequest, make_request
from harness.resolve import Resolved, resolve
from harness.results import RECORDS, Run, report, write_page
from harness.store import Store, write_text_atomically

if TYPE_CHECKING:
    from harness.executors.scheduler import Executor, Scheduler
    from harness.progress import PlainView


def prepare(request: RunRequest) -> tuple[Resolved, Plan]:
    """Check a request and plan it, on the sets that the store has of it; nothing is written."""
    resolved = resolve(request)
    plan = make_plan(resolved.plan_input)
    return resolved, plan if request.fresh else as_trained(plan, Store(resolved.context.store))


def run(*, console: Console | None = None, **fields: Any) -> Run:
    """Run a benchmark and return where its results are.

    Args:
        console: where progress goes; None: standard error.
        **fields: those of `RunRequest`: methods, suite, ipc, bytes, students, protocol, seeds, distill_seeds, settings
            ({"protocol.lr": 0.02}), plugins, device, executor, workers, store, data_root, weights_root, name,
            fresh.

    Raises:
        UserError: the request is wrong; nothing was written.

    Example:
        >>> import harness
        >>> done = harness.run(methods=["random_real"], suite="digits", ipc=[10])  # doctest: +SKIP
        >>> harness.load_results(done)[["method", "student", "top1_best"]]  # doctest: +SKIP
    """
    request = make_request(**fields)
    resolved, plan = prepare(request)
    return execute_plan(resolved, plan, console or Console(stderr=True))


def execute_plan(resolved: Resolved, plan: Plan, console: Console) -> Run:
    """Run a plan's jobs, write records and reports, and return the run."""
    from harness.executors.scheduler import Scheduler
    from harness.progress import make_view

    store = Store(resolved.context.store)
    check_name(resolved.request.name)
    check_weights(resolved, plan)
    check_disk(resolved, plan)
    store.check_writable()
    store.sweep()
    fresh = resolved.request.fresh

    def has(job: Job) -> bool:
        return not fresh and store.has(job.kind, job.key)

    view = make_view(plan, console)
    executor = make_executor(resolved, plan, view)
    scheduler = Scheduler(plan, has, executor, view)
    waiting = len(scheduler.to_run())
    folder = make_run_folder(resolved, store)
    about = describe_run(resolved, plan, folder.name)
    _write_run(folder, {**about, "status": "running"})
    there = f"{len(plan.jobs)} jobs, {len(plan.jobs) - waiting} already in the store"
    console.print(f"run {folder.name}: {there}", highlight=False)
    status = "interrupted"
    try:
        if waiting:
            executor.start()
            with view:
                scheduler.run()
        status = "failed" if scheduler.errors else "done"
    except UserError:
        shutil.rmtree(folder)  # the executor cannot run this plan: nothing was begun
        raise
    finally:
        if waiting:
            executor.stop()
        if folder.exists():
            finish(resolved, plan, store, scheduler, folder)
            _write_run(folder, {**about, "status": status, "ended": _now(), "jobs": _outcome_counts(scheduler)})
            write_page(folder)
    errors = {plan.jobs[key].title: scheduler.errors[key].error for key in scheduler.errors}
    counts = {k: v for k, v in _outcome_counts(scheduler).items() if k != "cached"}
    num_done = sum(row.train is not None and scheduler.status[row.train] in ("done", "cached") for row in plan.rows)
    return Run(folder.name, folder, counts, errors, num_done)


def make_executor(resolved: Resolved, plan: Plan, view: PlainView) -> Executor:
    """Return the executor that the request names."""
    from harness.progress import LiveView

    if resolved.request.executor == "local":
        from harness.executors.local import LocalExecutor

        return LocalExecutor(resolved.context, view.show_stages if isinstance(view, LiveView) else lambda stages: None)
    from harness.executors.ray import RayExecutor

    return RayExecutor(resolved.context, plan, resolved.request.ray_address, resolved.request.workers)


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
    for number in itertools.count(1):
        folder = store.runs / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if wanted:
                raise UserError(
                    f"--name {wanted!r}: a run of that name exists in {store.runs}. Choose another name."
                ) from None
    raise AssertionError("count never ends")


def describe_run(resolved: Resolved, plan: Plan, name: str) -> dict[str, Any]:
    """Return the provenance of a run: request, suite, protocol, methods' configs, environment."""
    from harness.measure import environment

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
    """Return version and reference of a method; nothing for one that could not be imported."""
    from harness import discovery

    if name not in discovery.methods:
        return {}
    cls = discovery.methods.get(name)
    return {"version": cls.version, "reference": cls.reference}


def _outcome_counts(scheduler: Scheduler) -> dict[str, int]:
    values = list(scheduler.status.values())
    return {state: values.count(state) for state in ("done", "cached", "failed", "blocked", "waiting", "running")}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _write_run(folder: Path, about: dict[str, Any]) -> None:
    write_text_atomically(folder / "run.json", json.dumps(about, indent=1))


def finish(resolved: Resolved, plan: Plan, store: Store, scheduler: Scheduler, folder: Path) -> None:
    """Write what a run leaves: records, tables, contact sheets, and the traceback of each failed job."""
    from harness.records import make_records
    from harness.sheets import write_sheets

    for key, outcome in scheduler.errors.items():
        if scheduler.status[key] == "failed":
            write_text_atomically(
                folder / "errors" / f"{plan.jobs[key].title.replace(' ', '_').replace('/', '-')}.txt", outcome.trace
            )
    records = make_records(resolved, plan, store, scheduler, folder.name)
    write_text_atomically(folder / RECORDS, json.dumps(records, indent=1))
    write_sheets(records, resolved.context.classes, folder / "images")
    for name, table in report(folder).items():
        table.save(folder / "tables", name)
