"""One trial: an ordinary request, planned and run in this process through the ordinary store, a record at a time.

In: the request of a tuning, a method, values of its options. Out: a report after each record, the last of them whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from harness.api.run import prepare
from harness.api.run_setup import make_scheduler
from harness.api.tune.request import TuneRequest
from harness.core.errors import UserError
from harness.execution.found import find_artefacts
from harness.execution.local import LocalExecutor
from harness.execution.records import make_records
from harness.execution.view import View
from harness.planning.plan import Plan, Row
from harness.planning.request import RunRequest
from harness.planning.resolve import Resolved

Point = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What is known of a trial after some of its records.

    Attributes:
        score: mean accuracy over the records so far, percent.
        time_s: mean device-seconds of distillation over the same.
        num_records: records so far.
        of_records: records of the whole trial.
        jobs: device-seconds of each job that the records stand on, by key, whoever ran it.
    """

    score: float
    time_s: float
    num_records: int
    of_records: int
    jobs: dict[str, float] = field(default_factory=dict)


TrialFunction = Callable[[str, Point], Iterator[Report]]
"""Runs a method with values of its options, and reports."""


class TrialFailed(Exception):
    """A job of a trial failed; one line says how."""


def trial_request(request: TuneRequest, method: str, point: Point) -> RunRequest:
    """Return the ordinary request that a trial runs: one method, scored on the validation part."""
    return request.run.model_copy(
        update={
            "methods": (method,),
            "settings": merged(request.run.settings, point),
            "validation": request.validation,
            "validation_seed": request.validation_seed,
            "executor": "local",
            "reference": False,
        }
    )


def merged(settings: dict[str, dict[str, Any]], point: Point) -> dict[str, dict[str, Any]]:
    """Return settings by target and field with those of a point."""
    found = {target: dict(fields) for target, fields in settings.items()}
    for name, value in point.items():
        target, _, option = name.partition(".")
        found.setdefault(target, {})[option] = value
    return found


def run_trial(request: TuneRequest, method: str, point: Point) -> Iterator[Report]:
    """Run a trial and yield a report after each record: after each IPC, student and seed.

    Raises:
        UserError: the values of the options do not go together.
        TrialFailed: a job failed.
    """
    resolved, plan = prepare(trial_request(request, method, point))
    rows = [row for row in plan.rows if row.method == method and not row.variant]
    scores, times, jobs = list[float](), list[float](), dict[str, float]()
    for row in rows:
        if row.train is None:
            raise UserError(f"method {method!r} cannot run here: {row.skip}")
        record, own = _run_row(resolved, plan, row)
        jobs |= own
        scores.append(float(record[request.metric]))
        times.append(float(record["fit_device_s"] + record["synthesize_device_s"]))
        done = len(scores)
        yield Report(sum(scores) / done, sum(times) / done, done, len(rows), dict(jobs))


def _run_row(resolved: Resolved, plan: Plan, row: Row) -> tuple[dict[str, Any], dict[str, float]]:
    """Run what one record needs, and return it with the device-seconds of its jobs."""
    own = replace(plan, jobs=_needed(plan, row), rows=(row,))
    store = resolved.context.store
    scheduler, claims = make_scheduler(resolved, own, LocalExecutor(resolved.context), View())
    with claims:
        scheduler.run()
    found = find_artefacts(own, store, scheduler)
    record = make_records(resolved, own, scheduler, found, "")[0]
    if record["status"] != "done":
        raise TrialFailed(f"{record['cause'] or method_title(row)}: {record['error']}")
    there = {key for key, status in scheduler.status.items() if status in ("done", "cached")}
    return record, {key: _device_s(store.manifest(own.jobs[key].kind, key)) for key in there}


def method_title(row: Row) -> str:
    """Return what a record is called in messages."""
    return f"{row.method} ipc {row.ipc} {row.student} seed {row.training_seed}"


def _device_s(manifest: dict[str, Any]) -> float:
    return float(manifest.get("measured", {}).get("device_s") or 0.0)


def _needed(plan: Plan, row: Row) -> dict[str, Any]:
    """Return the jobs that a record stands on, each after those that it needs."""
    stack = [key for key in (row.train, row.synthesize, row.label, *row.fits) if key]
    wanted: set[str] = set()
    while stack:
        key = stack.pop()
        if key not in wanted:
            wanted.add(key)
            stack += plan.jobs[key].dependencies()
    return {key: job for key, job in plan.jobs.items() if key in wanted}


class OrdinaryTrials:
    """The trial function of a tuning; small, so that it travels to any worker."""

    def __init__(self, request: TuneRequest) -> None:
        self.request = request

    def __call__(self, method: str, point: Point) -> Iterator[Report]:
        """Run a trial."""
        return run_trial(self.request, method, point)
