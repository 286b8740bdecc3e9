"""Run one job to its end: an artefact in the store, or an `Outcome` that says what went wrong.

A job is run the same way by every executor, in the main thread of some process.
"""

from __future__ import annotations

import platform
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core import disk
from harness.core.environment import device_name
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.progress import ProgressCallback
from harness.core.remote_errors import RemoteError
from harness.core.text import shorten
from harness.jobs import numerics, threads
from harness.jobs.checkpoint import FolderCheckpoint
from harness.jobs.clock import Clock
from harness.jobs.context import JobContext
from harness.jobs.job import KINDS, Job
from harness.jobs.kinds import job_kinds
from harness.jobs.log import JobLog

MOST_CHARACTERS = 2000
"""Of an error in records and tables; its traceback is kept whole."""


@dataclass(frozen=True)
class Where:
    """Where and when a job was begun.

    Attributes:
        host: name of the machine.
        node: the executor's name of it; empty where there is one machine only.
        pid: process on that machine.
        device: "cpu", or the GPU as it calls itself.
        began: seconds since 1970.
    """

    host: str
    node: str
    pid: int
    device: str
    began: float


@dataclass(frozen=True)
class Outcome:
    """How one job ended.

    Attributes:
        key: of the job.
        error: one line for people; empty when the artefact is in the store.
        trace: of a failure, the whole traceback.
        log: of a failure, what the job printed.
        cause: key of the job that failed, where this one could not run without it.
        lost: the system took the job away (its worker or node died, memory ran out): it may be tried again.
        missing: key of a dependency whose artefact was damaged and set aside: it is made again, and then this job.
        where: where it ran; None where it never began.
    """

    key: str
    error: str = ""
    trace: str = ""
    log: str = ""
    cause: str | None = None
    lost: bool = False
    missing: str | None = None
    where: Where | None = None

    @property
    def ok(self) -> bool:
        """True when the artefact is in the store."""
        return not self.error


def execute(job: Job, context: JobContext, report: ProgressCallback) -> Outcome:
    """Run one job to its end. Never raises but for an interrupt: what went wrong is in the outcome."""
    log = JobLog(job.title)
    try:
        report("starting", 0, 0, "")  # its time begins now, however long it waited for a worker
        store = context.store
        if not context.fresh and (store.has(job.kind, job.key, anew=True) or store.offer(job.kind, job.key)):
            return Outcome(job.key)  # another run made it meanwhile, or this one could not upload it
        for plugin in context.plugins:
            discovery.load_plugin_source(plugin)
        for role, keys in job.deps.items():
            for key in keys:  # a remote store is copied here as far as it is needed
                try:
                    store.fetch(role if role in KINDS else "prior", key)
                except FileNotFoundError as error:  # gone, or damaged and set aside
                    return Outcome(job.key, f"an input cannot be read: {error}", traceback.format_exc(), missing=key)
        if context.fresh:
            FolderCheckpoint.of(store, store.scratch(job.key)).clear(look=True)
        threads.keep_pages()
        numerics.set_defaults()
        threads.set_threads(job.resources.cpus)
        log.grows_in(store.scratch(job.key))
        store.write(
            job.kind,
            job.key,
            lambda folder: log.keep(folder, lambda: _run(job, context, folder, report)),
            replace=context.fresh,
        )
        FolderCheckpoint.of(store, store.scratch(job.key)).clear()
        return Outcome(job.key)
    except (Exception, SystemExit) as error:
        text, lost = shorten(_told(error, context), MOST_CHARACTERS), isinstance(error, RemoteError) and error.lost
        log.drop_live()
        return Outcome(job.key, text, traceback.format_exc(), log.text(), lost=lost)


def _told(error: BaseException, context: JobContext) -> str:
    """Return one line for people."""
    if refused := disk.refusal(error, context.store.folder):
        return f"its results could not be written: {refused}. {disk.CURE}"
    message = " ".join(str(error).split()) or type(error).__name__
    return message if isinstance(error, UserError | ValueError) else f"{type(error).__name__}: {message}"


def _run(job: Job, context: JobContext, folder: Path, report: ProgressCallback) -> dict[str, Any]:
    """Fill the artefact's folder; return the fields of its manifest."""
    import torch

    run_job = job_kinds.get(job.kind)  # its imports are no part of the job's time
    device = torch.device(context.device)
    held = (job.resources.gpus or 1) if device.type == "cuda" else job.resources.cpus
    if job.kind in ("fit", "synthesize"):  # the tables show their peak memory
        threads.release_pages()
    clock = Clock(device, held)
    with clock:
        result = run_job(job, context, folder, report, clock)
    return {
        "title": job.title,
        "suite": job.suite,
        "identity": job.identity,
        "spec": job.spec,
        "deps": job.deps,
        "result": result,
        "measured": {
            **clock.result,
            "device": context.device,
            "device_name": device_name(context.device),
            "host": platform.node(),
        },
    }
