"""Join a run and the monitor that writes down how it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.core.errors import UserError
from harness.core.remote_runs import upload_run_file
from harness.core.store import Store
from harness.execution.monitor import BEAT_S, Monitor, Surroundings
from harness.execution.tries import QUIET_S
from harness.jobs.job import Job
from harness.jobs.live_log import live_logs

if TYPE_CHECKING:
    from harness.execution.progress import PlainView
    from harness.planning.plan import Plan
    from harness.planning.resolve import Resolved

REMOTE_BEAT_S = 10.0
"""Seconds between two signs of life in a remote store, where each is a request."""

_MOST_LOG = 2_500_000
"""Bytes of the log of a killed job."""


def make_monitor(resolved: Resolved, plan: Plan, view: PlainView) -> Monitor:
    """Return the monitor of a run; it does nothing before it begins.

    Raises:
        UserError: HARNESS_QUIET_S is not a number of seconds.
    """
    store, device = resolved.context.store, resolved.context.device
    return Monitor(
        Surroundings(
            suite=resolved.suite.name,
            executor=resolved.request.executor,
            jobs=plan.jobs,
            gpus=lambda job: (job.resources.gpus or 1.0) if device.startswith("cuda") else 0.0,
            seconds_left=view.seconds_left,
            warn=lambda line: view.tell(line, True),
            live_log=lambda job: _killed_log(store, job),
            upload=(lambda path: upload_run_file(store, path.parent, path.name)) if store.is_remote else None,
            beat_s=REMOTE_BEAT_S if store.is_remote else BEAT_S,
            quiet_s=_quiet_s(),
        )
    )


def _killed_log(store: Store, job: Job) -> str:
    """Return what the newest killed try of a job printed, as far as it lies where this machine sees it."""
    found = live_logs(store, job.key)
    if not found:
        return ""
    with found[-1].open("rb") as file:
        return file.read(_MOST_LOG).decode("utf-8", errors="replace")


def _quiet_s() -> float:
    text = os.environ.get("HARNESS_QUIET_S", "")
    try:
        seconds = float(text) if text else QUIET_S
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise UserError(
            f"HARNESS_QUIET_S={text}: expected the seconds without a sign of life before a warning, e.g. 600."
        )
    return seconds
