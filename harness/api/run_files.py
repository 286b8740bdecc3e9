"""What a run leaves when it has ended: records, contact sheets, errors, tables, figures, a page.

In: a plan and how its jobs ended. Out: files in the run's folder.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from harness.api.report import figures, report, save_tables
from harness.api.run_result import Run
from harness.core.errors import UserError
from harness.core.remote_runs import upload_run
from harness.core.run_folder import RunFolder
from harness.core.traces import own_place
from harness.execution.contact_sheets import write_sheets
from harness.execution.found import Found
from harness.execution.records import make_records
from harness.execution.scheduler import Scheduler
from harness.execution.status import Status
from harness.planning.plan import Plan
from harness.planning.resolve import Resolved
from harness.reporters import page

if TYPE_CHECKING:
    from harness.reporters.tables.table import Table


def leave(
    resolved: Resolved, plan: Plan, scheduler: Scheduler, found: dict[str, Found], folder: Path, about: dict[str, Any]
) -> None:
    """Write all files of a run that has ended; where that fails, its description says so."""
    try:
        RunFolder(folder).write_about(about)
        tables = finish(resolved, plan, scheduler, found, folder)
        if about["status"] != "interrupted" and _num_done(plan, scheduler):
            with contextlib.suppress(UserError):  # only the full data are done: there is nothing to draw
                figures(folder, kinds=("accuracy",))
        page.write_page(folder, tables, page.Sources(stores=[resolved.context.store]))
    except Exception as error:
        failed = {"status": "failed", "error": f"while its files were written: {one_line(error)}"}
        with contextlib.suppress(OSError):  # the error that came first says more
            RunFolder(folder).write_about(about | failed)
        with contextlib.suppress(UserError):
            upload_run(resolved.context.store, folder)
        raise


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


def as_run(plan: Plan, scheduler: Scheduler, folder: Path) -> Run:
    counts = {k: v for k, v in outcome_counts(scheduler).items() if k not in ("cached", "not needed")}
    errors = {plan.jobs[key].title: outcome.error for key, outcome in scheduler.errors.items()}
    causes = {plan.jobs[key].title: plan.jobs[o.cause].title for key, o in scheduler.errors.items() if o.cause}
    places = {plan.jobs[key].title: own_place(outcome.trace) for key, outcome in scheduler.errors.items()}
    return Run(folder.name, folder, counts, errors, _num_done(plan, scheduler), causes, places)


def _num_done(plan: Plan, scheduler: Scheduler) -> int:
    return sum(row.train is not None and scheduler.status[row.train] in ("done", "cached") for row in plan.rows)


def losses_of(plan: Plan, scheduler: Scheduler) -> list[dict[str, Any]]:
    """Return each try of a job that the system ended."""
    return [
        {"job": plan.jobs[key].title, "key": key, **asdict(loss)}
        for key, losses in scheduler.losses.items()
        for loss in losses
    ]


def outcome_counts(scheduler: Scheduler) -> dict[str, int]:
    return {state: scheduler.status.counts[state] for state in get_args(Status)}


def one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
