"""What a job of a run printed: while it runs, when it is done, when it failed, and when a try of it was lost.

In: a run's folder and the store of its artefacts. Out: the file to read.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserError, did_you_mean
from harness.core.paths import is_regular, regular_files
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.core.text import shorten, times
from harness.jobs.live_log import live_logs
from harness.jobs.log import LOG

CANDIDATES = 10
"""Jobs that a message lists."""


@dataclass(frozen=True)
class RunJob:
    """A job of a run's plan."""

    key: str
    kind: str
    title: str


def find_job(run: RunFolder, name: str) -> RunJob:
    """Return the job of a run that is called so.

    Args:
        run: its folder.
        name: its title, the first digits of its key, or a part of the title that no other job has.

    Raises:
        UserError: there is none, or there are several.
    """
    jobs = [RunJob(key, kind, title) for key, (kind, title) in run.jobs.items()]
    if not jobs:
        raise UserError(
            f"run {run.name} does not say which jobs it has: it was made before that was kept. `harness show run {run.name}` "
            "lists keys, and `harness show log KEY` prints the log of one."
        )
    word = name.casefold()
    found = [job for job in jobs if job.title == name or job.key == name]
    found = found or [job for job in jobs if len(name) >= 4 and job.key.startswith(word)]
    found = found or [job for job in jobs if word in job.title.casefold()]
    if len(found) == 1:
        return found[0]
    if not found:
        guess = did_you_mean(name, [job.title for job in jobs])
        raise UserError(
            f"no job {name!r} in run {run.name}, which has {times(len(jobs), 'job')}.{guess}{_listed(jobs)}"
        )
    raise UserError(f"{times(len(found), 'job')} of run {run.name} match {name!r}.{_listed(found)}")


def _listed(jobs: list[RunJob]) -> str:
    lines = [f"\n  {job.key[:12]}  {shorten(job.title, 80)}" for job in jobs[:CANDIDATES]]
    more = f"\n  and {len(jobs) - CANDIDATES:,} more" if len(jobs) > CANDIDATES else ""
    return f" Give a key or a longer part of a title:{''.join(lines)}{more}"


def log_of(run: RunFolder, job: RunJob, store: Store) -> Path:
    """Return the file with what a job printed last: in this run, or in the one that made its artefact.

    Raises:
        UserError: there is none that this machine can see.
    """
    for path in _places(run, job, store):
        if is_regular(path):
            return path
    raise UserError(_no_log(run, job, store))


def _places(run: RunFolder, job: RunJob, store: Store) -> Iterator[Path]:
    live = live_logs(store, job.key)[-1:]
    if runs_now(run, job):
        yield from live
    yield run.error_file(job.title, ".log")
    yield from kept_log(job, store)
    yield from live
    yield from lost_logs(run, job)[-1:]


def kept_log(job: RunJob, store: Store) -> Iterator[Path]:
    """Yield the log beside a job's results; that of a remote store is copied here."""
    path = store.path(job.kind, job.key) / LOG
    if store.is_remote and not is_regular(path) and store.has(job.kind, job.key, anew=True):
        store.fetch(job.kind, job.key)
    yield path


def lost_logs(run: RunFolder, job: RunJob) -> list[Path]:
    """Return the logs of tries that were lost, in order."""
    stem = run.error_file(job.title, "").name
    return [path for path in regular_files(run.errors, "*.log") if path.name.startswith(f"{stem}.lost")]


def runs_now(run: RunFolder, job: RunJob) -> bool:
    """Return whether the run says that the job runs."""
    status = run.status()
    return status is not None and any(one.key == job.key for one in status.running)


def _no_log(run: RunFolder, job: RunJob, store: Store) -> str:
    status = run.status()
    for one in status.running if status else ():
        if one.key == job.key and one.since is None:
            return f"{job.title} waits for a worker; it has no log yet."
        if one.key == job.key and one.host == platform.node():
            return f"{job.title} has just begun on this machine, process {one.pid}; its log comes with its first steps."
        if one.key == job.key:
            return (
                f"{job.title} runs on {one.host}, process {one.pid}; its log lies on that machine until it ends "
                f"(store {store.uri} is not shared by the machines, or not this one)."
            )
    return (
        f"{job.title} has no log: it has not begun, could not run, or was made before logs were kept. "
        f"`harness status {run.name}` shows what runs and what failed."
    )
