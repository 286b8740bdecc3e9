"""What a run needs before its first job: a checked store, a folder with its description, an executor.

In: a resolved request and its plan. Out: those. Nothing is run.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from harness.core import disk
from harness.core.claims import Claims
from harness.core.environment import environment
from harness.core.errors import UserError
from harness.core.executors import ExecutorOptions, executors
from harness.core.plugin import discovery
from harness.core.remote import RemoteError
from harness.core.remote_runs import run_names
from harness.core.store import Store
from harness.execution.scheduler import Scheduler, StoreView
from harness.execution.time_limit import TimeLimit
from harness.execution.view import View
from harness.jobs.job import Job
from harness.planning.plan import Plan
from harness.planning.preflight import check_disk, check_weights
from harness.planning.resolve import Resolved

if TYPE_CHECKING:
    from rich.console import Console

    from harness.execution.executor import Executor


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
                    f"--name {wanted!r}: a run with that name exists in {store.uri}. Choose another name."
                ) from None
    raise AssertionError("count never ends")


def describe_run(resolved: Resolved, plan: Plan, name: str) -> dict[str, Any]:
    """Return the provenance of a run: request, suite, protocol, methods' configs, environment."""
    given = resolved.plan_input
    return {
        "name": name,
        "started": now(),
        "request": resolved.request.model_dump(mode="json"),
        "suite": resolved.suite.model_dump(mode="json"),
        "source": resolved.source_text,
        "data_fingerprint": given.data_fingerprint,
        "classes": [c.id for c in given.classes],
        "class_names": [c.name for c in given.classes],
        "protocol": given.protocol.model_dump(mode="json"),
        "methods": {
            m.name: {**_cited(m.name), "config": m.options, "code": m.code, "skipped": m.skip or None}
            for m in given.methods
        },
        "planned": plan.counts(),
        "environment": environment(given.device),
    }


def _cited(name: str) -> dict[str, Any]:
    """Return version, reference and BibTeX of a method, and the title of given images; nothing for one that is not importable."""
    if name not in discovery.methods:
        return {}
    cls = discovery.methods.get(name)
    given = {"given": True, "title": cls.title} if cls.given else {}
    return {"version": cls.version, "reference": cls.reference, "bibtex": cls.citation(), **given}


def checked_store(resolved: Resolved, plan: Plan) -> Store:
    """Return the store of a run for which everything is there that can be checked before it begins."""
    store = resolved.context.store
    check_weights(resolved, plan)
    check_disk(resolved, plan)
    store.check_writable()
    store.sweep()
    return store


def store_view(store: Store, fresh: bool) -> StoreView:
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


def make_scheduler(
    resolved: Resolved, plan: Plan, executor: Executor, view: View
) -> tuple[Scheduler, contextlib.AbstractContextManager[Any]]:
    """Return what walks a plan over the request's store, and the claims within which it may."""
    store, request = resolved.context.store, resolved.request
    claims = None if request.fresh else Claims(store)  # a fresh run takes nothing that another makes
    stored = store_view(store, request.fresh)
    scheduler = Scheduler(plan, stored, executor, view, claims=claims, retries=request.retries)
    return scheduler, claims or contextlib.nullcontext()


def absent_folders(store: Store) -> list[Path]:
    """Return the folders of a store that are not there yet, the innermost first."""
    return [path for path in (store.runs, store.folder, store.root, *store.root.parents) if not path.exists()]


def make_executor(resolved: Resolved, view: View, console: Console) -> Executor:
    """Return the executor that the request names."""
    request = resolved.request

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    options = ExecutorOptions(
        request.ray_address, request.workers, request.wait_for_nodes, view.note, say, together=not request.job_timeout
    )
    executor: Executor = executors.get(request.executor)(resolved.context, options)
    return cast("Executor", TimeLimit(executor, request.job_timeout)) if request.job_timeout else executor


def writing_run(store: Store, folder: Path) -> contextlib.AbstractContextManager[None]:
    """Turn a full disk, and whatever else refuses a run's files, into one message."""
    kept = f"The jobs' results are kept in {store.folder}; files written before the error are in {folder}."
    return disk.one_message(f"run {folder.name}: its files could not be written", folder, kept)


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
