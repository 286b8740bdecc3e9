"""The artefacts that the rows of a run are made of, read at its end; one that was damaged meanwhile fails its rows, not the run.

In: a plan, its store, how its jobs ended. Out: manifests and folders by key; the scheduler learns what is damaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.integrity import DamagedArtefact
from harness.core.store import Store
from harness.execution.scheduler import Scheduler
from harness.jobs.execute import Outcome
from harness.planning.plan import Plan, Row

_KEPT = ("result", "measured")

AGAIN = "run the same command to create it again"


@dataclass(frozen=True)
class Found:
    """An artefact that is there and undamaged; `folder` is that of a distilled set.

    Of the manifest of a fit or a training only what records need: 50,000 whole ones would fill gigabytes.
    """

    manifest: dict[str, Any]
    folder: Path | None = None


def find_artefacts(plan: Plan, store: Store, scheduler: Scheduler) -> dict[str, Found]:
    """Return what the rows need of what was done, by key; rows whose artefacts are damaged or gone become failed."""
    found: dict[str, Found] = {}
    lost: set[str] = set()
    for row in plan.rows:
        for key in _own(row):
            if key not in found and key not in lost and scheduler.status[key] in ("done", "cached"):
                try:
                    found[key] = _read(plan.jobs[key].kind, key, store)
                except (FileNotFoundError, UserError) as error:
                    lost.add(key)
                    _fail(key, error, scheduler)
    for row in plan.rows:
        cause = next((key for key in _own(row) if key in lost), None)
        if row.train in found and cause:
            scheduler.status[row.train] = "blocked"
            scheduler.errors[row.train] = Outcome(row.train, scheduler.errors[cause].error, cause=cause)
    return found


def _own(row: Row) -> tuple[str, ...]:
    return tuple(key for key in (*row.fits, row.synthesize, row.train) if key)


def _read(kind: str, key: str, store: Store) -> Found:
    """Return an artefact whose sums were compared; of a remote store only sets are copied here.

    Raises:
        FileNotFoundError: it is gone, or damaged.
        UserError: it may not be read.
    """
    folder = store.fetch(kind, key) if kind == "synthesize" or not store.is_remote else None
    manifest = store.manifest(kind, key)
    return Found(manifest if kind == "synthesize" else {name: manifest[name] for name in _KEPT}, folder)


def _fail(key: str, error: Exception, scheduler: Scheduler) -> None:
    told = str(error)
    if isinstance(error, DamagedArtefact):
        told = f"artefact damaged and moved aside; {AGAIN}"
    elif isinstance(error, FileNotFoundError):
        told = f"artefact missing from the store; {AGAIN}"
    scheduler.status[key] = "failed"
    scheduler.errors[key] = Outcome(key, told, str(error))
