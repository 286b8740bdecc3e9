"""Runs of a remote store: copied there when they end, and back here when somebody asks for them.

In: a store and the name of a run. Out: the run's folder below `store.runs`. For a local store nothing needs to be done.
A run is whole at the remote once its records are there: they are the last file to go, and the last to come.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.core.errors import UserError
from harness.core.paths import below, is_regular, plain_name, plain_path
from harness.core.remote_errors import RemoteError
from harness.core.run_folder import RECORDS, RUN, RunFolder
from harness.core.store import Store

_MADE_HERE = ".made-here"
"""In the folder of a run that goes on on this machine: nothing that the remote has of it is newer."""


def upload_run_file(store: Store, folder: Path, name: str) -> bool:
    """Copy one file of a run to the remote, while the run goes on or after its end; nothing for a local store.

    Returns:
        Whether it is there. That it is not is no reason to end a run.
    """
    try:
        if store.is_remote:
            store.remote.put(folder / plain_path(name), f"runs/{folder.name}/{name}")
    except (RemoteError, FileNotFoundError):
        return False
    return True


def upload_reports(store: Store, folder: Path) -> bool:
    """Copy page, tables and figures of a run of a remote store there again, as they are now; return whether they are there."""
    if not store.is_remote or folder.parent.resolve() != store.runs.resolve():
        return True
    own = RunFolder(folder)
    made = [path for part in (own.tables, own.figures) if not part.is_symlink() for path in part.glob("*")]
    names = [path.relative_to(folder).as_posix() for path in [*made, own.page] if is_regular(path)]
    return all(upload_run_file(store, folder, name) for name in names)


def upload_run(store: Store, folder: Path) -> None:
    """Copy the files of a run to the remote.

    Raises:
        UserError: that failed; the run is still here.
    """
    if not store.is_remote:
        return
    found = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and p.name != _MADE_HERE]
    names = [path.relative_to(folder).as_posix() for path in found]
    if RECORDS not in names:
        (folder / _MADE_HERE).touch()
    try:
        _put(store, folder, [name for name in names if name != RECORDS])
        _put(store, folder, [name for name in names if name == RECORDS])
        if RECORDS in names:
            (folder / _MADE_HERE).unlink(missing_ok=True)
    except RemoteError as error:
        raise UserError(
            f"run {folder.name}: its files could not be copied to store {store.uri} ({error.reason}). They are in "
            f"{folder}. The jobs' results are in the store, so the same `harness run` command writes the files again."
        ) from None


def _put(store: Store, folder: Path, names: list[str]) -> None:
    store.remote.for_each(lambda name: store.remote.put(folder / name, f"runs/{folder.name}/{name}"), names)


def run_names(store: Store) -> set[str]:
    """Return the names of runs that are taken."""
    here = {path.name for path in store.runs.iterdir()} if store.runs.is_dir() else set()
    return here | (store.remote.names("runs") if store.is_remote else set())


def fetch_runs(store: Store) -> Path:
    """Return the folder of the runs; those of a remote store are there with run.json and records, and no more."""
    if store.is_remote:
        for name in sorted(store.remote.names("runs")):
            _fetch(store, name, (RUN, RECORDS))
    return store.runs


def fetch_run(store: Store, name: str) -> Path:
    """Return the folder of a run, which may not exist; that of a remote store is there with all its files."""
    if store.is_remote:
        _fetch(store, name, store.remote.files(f"runs/{name}"))
    return store.runs / name


def _fetch(store: Store, name: str, files: Iterable[str]) -> None:
    """Copy files of a run that are not here. What a run has here does not change there once it has ended, or was made here."""
    store.make_cache()
    folder = store.runs / plain_name(name)
    kept = RunFolder(folder).has_records or (folder / _MADE_HERE).exists()
    for file in _records_last(files):
        target = below(folder, file)
        if not (kept and target.exists()):
            try:
                store.remote.get(f"runs/{name}/{file}", target, dated=file in (RUN, RECORDS))
            except FileNotFoundError:  # killed before it had records
                continue


def _records_last(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name == RECORDS, name))
