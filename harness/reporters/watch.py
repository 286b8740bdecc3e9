"""Find a run that may still run, and read how it is: from its folder, or through a remote store.

In: a name, a folder, or nothing for the newest. Out: its status; nothing is copied or changed.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UserError, did_you_mean
from harness.core.paths import is_plain, is_regular
from harness.core.run_folder import RunFolder, read_status
from harness.core.run_json import RUN, STATUS, parse_json
from harness.core.run_schema import check_about
from harness.core.run_status import RunStatus
from harness.core.store import Store
from harness.reporters.runs import find_run

STARTING_S = 600.0
"""A run gives its first sign of life when its executor has started; a cluster that has to grow takes minutes."""


@dataclass(frozen=True)
class Watched:
    """How a run is.

    Attributes:
        place: its folder, or its address in a remote store.
        status: what it says; of a run that says nothing, what its run.json tells.
        speaks: whether it has said anything itself.
    """

    place: str
    status: RunStatus
    speaks: bool = True

    def is_gone(self, now: float) -> bool:
        """Return whether its driver has ended without a word; now is in seconds since 1970."""
        if not self.speaks:
            return self.status.state == "running" and now - self.status.seen > STARTING_S
        return self.status.is_gone(now)

    def has_ended(self, now: float) -> bool:
        """Return whether nothing will change any more."""
        return self.status.state not in ("running", "finishing") or self.is_gone(now)


def watch(run: str | None, store: str) -> Watched:
    """Return how a run is.

    Args:
        run: its name or folder; None: the newest, a running one before those that have ended.
        store: where its name is looked for.

    Raises:
        UserError: there is no such run, or it cannot be read.
    """
    place = Store(store)
    if run is not None and RunFolder(run).exists:
        return _local(RunFolder(run))
    if place.is_remote:
        name = run or _newest_remote(place)
        if is_plain(name) and "/" not in name and (found := _remote(place, name)):
            return found
        raise _unknown(name, sorted(place.remote.names("runs")), place.uri)
    return _local(RunFolder(find_run(run, store) if run is not None else newest(place)))


def newest(place: Store) -> Path:
    """Return the folder of the run of a local store that gave the last sign of life.

    Raises:
        UserError: there is none.
    """
    runs = RunFolder.all_in(place.runs)
    if not runs:
        raise _none(place)
    return max(runs, key=_last_sign).path


def _last_sign(run: RunFolder) -> float:
    return max(path.lstat().st_mtime for path in (run.status_file, run.about_file) if is_regular(path))


def _none(place: Store) -> UserError:
    return UserError(f"no run in {place.uri}. `harness run --suite digits` makes one; --store DIR looks elsewhere.")


def _unknown(name: str, known: list[str], uri: str) -> UserError:
    return UserError(f"no run {name!r} in {uri}.{did_you_mean(name, known)} --store DIR looks elsewhere.")


def _local(folder: RunFolder) -> Watched:
    status = folder.status()
    if status is not None:
        return Watched(str(folder.path), status)
    return Watched(str(folder.path), _from_about(folder.name, folder.about), speaks=False)


def _remote(place: Store, name: str) -> Watched | None:
    where = f"{place.uri}/runs/{name}"
    text = place.remote.read(f"runs/{name}/{STATUS}")
    if text is not None:
        return Watched(where, read_status(parse_json(text, f"{where}/{STATUS}"), f"{where}/{STATUS}"))
    text = place.remote.read(f"runs/{name}/{RUN}")
    if text is None:
        return None
    about = parse_json(text, f"{where}/{RUN}")
    check_about(about, f"{where}/{RUN}")
    return Watched(where, _from_about(name, about), speaks=False)


def _newest_remote(place: Store) -> str:
    found = [(one.status.seen, name) for name in place.remote.names("runs") if (one := _remote(place, name))]
    if not found:
        raise _none(place)
    return max(found)[1]


def _from_about(name: str, about: dict[str, Any]) -> RunStatus:
    """Return what run.json tells: of a run from before status.json, or of one that is starting."""
    started, ended = _seconds(about.get("started")), _seconds(about.get("ended"))
    return RunStatus(
        run=name, suite=about["suite"]["name"], state=about.get("status") or "done", host="", pid=0, started=started,
        seen=ended or started, ended=ended or None, counts={k: v for k, v in about.get("jobs", {}).items() if v > 0},
    )  # fmt: skip


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, datetime.datetime.fromisoformat(text or "").timestamp())
    except (ValueError, OverflowError, OSError):
        return 0.0
