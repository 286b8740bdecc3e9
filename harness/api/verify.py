"""Check what a store holds: files by their sums, manifests by their own, the numbers of a run's records by its trainings.

In: a store, or a run of it. Out: what is damaged, missing or edited. Nothing is changed unless that is asked for.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.integrity import ASIDE, read_manifest
from harness.core.manifest import SUM
from harness.core.progress import ProgressCallback, no_progress
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.core.text import known
from harness.execution.records import recorded_fields
from harness.jobs.job import KINDS
from harness.reporters.bundles.unpacked import bundle_of
from harness.reporters.runs import Run, find_run, store_of

Artefact = tuple[str, str]
"""Kind and key."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was written.

    Attributes:
        state: damaged (an artefact or a file of the run), missing (an artefact that a record names), or edited (a record).
        what: kind and key of the artefact, or the record.
        told: what is wrong with it.
    """

    state: str
    what: str
    told: str


@dataclass(frozen=True)
class Verification:
    """What a check found.

    Attributes:
        num_artefacts: that were read.
        num_bytes: of their files.
        num_records: that were compared; of a run only.
        seconds: that it took.
        problems: nothing where all is well.
        without_sum: artefacts whose manifests were made before sums over their own fields were kept: an edited number in
            them cannot be noticed.
        set_aside: folders of artefacts that were found damaged earlier.
        num_deleted: further ones, which were deleted now.
    """

    num_artefacts: int
    num_bytes: int
    num_records: int
    seconds: float
    problems: tuple[Problem, ...]
    without_sum: tuple[str, ...]
    set_aside: tuple[str, ...]
    num_deleted: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged, missing or edited."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"ok": self.ok, **asdict(self)}


@dataclass
class _Checked:
    """What was seen of one artefact; `manifest` is empty where it cannot be read."""

    manifest: dict[str, Any]
    problem: Problem | None = None


def verify(
    run: Run | Path | str | None = None,
    store: str | Path = "results",
    *,
    delete_damaged: bool = False,
    report: ProgressCallback = no_progress,
) -> Verification:
    """Check all artefacts of a store, or the records of a run with their artefacts.

    It reads all files, so it takes as long as reading the store. Artefacts of a remote store are copied to this machine and
    removed again.

    Args:
        run: what `harness.run` returned, a run's name or folder; None: the whole store.
        store: where runs are found by name, and artefacts if the run is not in a store.
        delete_damaged: delete artefacts of a local store that were moved aside, for this run or all.
        report: called with the number of checked artefacts.

    Raises:
        UserError: no such run or store.

    Examples:
        >>> import harness
        >>> harness.verify("first").ok  # doctest: +SKIP
        True
    """
    start = time.perf_counter()
    records: list[dict[str, Any]] = []
    problems: list[Problem] = []
    if run is None:
        place = Store(store)
        if not place.is_remote and not place.folder.is_dir():
            raise UserError(f"store {place.uri}: store not found. Pass the folder of a store with --store DIR.")
        wanted = _all_of(place)
        checked = _check(place, wanted, wanted, report)
    else:
        folder = find_run(run, store)
        if sent := bundle_of(folder):
            raise UserError(
                f"{sent} is a bundle: check it with `harness bundle --check {sent}`. The artefacts that it depends on "
                "are not on this machine."
            )
        place = store_of(folder, store)
        records, problems = _read_records(RunFolder(folder))
        checked = _check_with_inputs(place, records, report)
        problems += [p for record in records if (p := _compared(record, checked))]
    problems += [one.problem for one in checked.values() if one.problem]
    read = {artefact: one.manifest for artefact, one in checked.items() if one.manifest}
    aside = _set_aside(place, None if run is None else {key for _, key in checked})
    for path in aside if delete_damaged else ():
        shutil.rmtree(path, ignore_errors=True)
    return Verification(
        num_artefacts=len(read),
        num_bytes=sum(info["size"] for made in read.values() for info in made["files"].values()),
        num_records=len(records),
        seconds=time.perf_counter() - start,
        problems=tuple(problems),
        without_sum=tuple(f"{kind} {key}" for (kind, key), made in read.items() if SUM not in made),
        set_aside=tuple(str(path) for path in aside if path.exists()),
        num_deleted=sum(not path.exists() for path in aside),
    )


def _all_of(store: Store) -> list[Artefact]:
    """Return the artefacts of a store: of a local one every folder with the name of a key, whatever is in it."""
    if store.is_remote:
        return [(kind, key) for kind in KINDS for key in sorted(store.remote.names(f"store/{kind}"))]
    folders = (path for kind in KINDS for path in sorted(store.folder.glob(f"{kind}/[!.]*")))
    return [(path.parent.name, path.name) for path in folders if path.is_dir()]


def _check(
    store: Store, wanted: list[Artefact], named: list[Artefact], report: ProgressCallback
) -> dict[Artefact, _Checked]:
    """Read artefacts, several at a time where they lie here; one that is not there counts where it is named."""
    workers = 1 if store.is_remote else min(8, os.cpu_count() or 1)
    checked: dict[Artefact, _Checked] = {}
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda artefact: _check_one(store, *artefact), wanted)
        for artefact, one in zip(wanted, found, strict=True):
            if one is not None:
                checked[artefact] = one
            elif artefact in named:
                told = "a record depends on it, but it is not in the store"
                checked[artefact] = _Checked({}, Problem("missing", " ".join(artefact), told))
            report("checked", len(checked), len(wanted), "artefact")
    return checked


def _check_one(store: Store, kind: str, key: str) -> _Checked | None:
    """Read an artefact; None where it is not there."""
    folder = store.path(kind, key)
    was_here = folder.exists()
    try:
        told = store.damage(kind, key)
        manifest = read_manifest(folder) or {}
    except FileNotFoundError:
        return None
    except UserError as error:
        told, manifest = str(error), {}
    finally:
        if store.is_remote and not was_here:
            shutil.rmtree(folder, ignore_errors=True)
    title = f" ({manifest['title']})" if manifest.get("title") else ""
    return _Checked(manifest, Problem("damaged", f"{kind} {key}{title}", told) if told else None)


def _read_records(run: RunFolder) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return the records of a run; where one of its files cannot be read, that is a problem too."""
    problems: list[Problem] = []
    records: list[dict[str, Any]] = []
    try:
        records = run.records
        _ = run.about
    except UserError as error:
        problems.append(Problem("damaged", f"run {run.name}", str(error)))
    return records, problems


def _check_with_inputs(
    store: Store, records: list[dict[str, Any]], report: ProgressCallback
) -> dict[Artefact, _Checked]:
    """Check what records name, and what that was made of, as far as it is there."""
    names = (("train", "train_key"), ("synthesize", "distilled_key"), ("label", "label_key"))
    done = [record for record in records if record["status"] == "done"]
    layer = list(dict.fromkeys((kind, record[name]) for kind, name in names for record in done if record.get(name)))
    named, checked = list(layer), dict[Artefact, _Checked]()
    while layer:
        checked |= (fresh := _check(store, layer, named, report))
        inputs = [one for made in fresh.values() for one in _inputs(made.manifest)]
        named += [one for one in inputs if one[0] == "fit"]  # their times are in the records
        layer = [one for one in dict.fromkeys(inputs) if one not in checked]
    return checked


def _inputs(manifest: dict[str, Any]) -> Iterator[Artefact]:
    for role, keys in manifest.get("deps", {}).items():
        yield from ((role if role in KINDS else "prior", key) for key in keys)


def _compared(record: dict[str, Any], checked: dict[Artefact, _Checked]) -> Problem | None:
    """Return the first difference between a record and the artefacts that it was made from."""
    train, made = (
        _sound(checked, kind, record.get(name))
        for kind, name in (("train", "train_key"), ("synthesize", "distilled_key"))
    )
    if record["status"] != "done" or train is None:
        return None
    fits = [_sound(checked, "fit", key) for key in (made or {}).get("deps", {}).get("fit", ())]
    try:
        expected = recorded_fields(record, train, made, fits)
    except (KeyError, TypeError, ZeroDivisionError) as error:
        return Problem("damaged", _title(record), f"its artefacts lack data that the record needs: {error!r}")
    for name, value in expected.items():
        if name in record and not _equal(record[name], value):
            return Problem("edited", _title(record), f"{name} is {record[name]}; its artefacts give {value}")
    return None


def _sound(checked: dict[Artefact, _Checked], kind: str, key: str | None) -> dict[str, Any] | None:
    one = checked.get((kind, key or ""))
    return one.manifest if one and one.manifest and not one.problem else None


def _equal(one: Any, other: Any) -> bool:
    return one == other or (not known(one) and not known(other))  # records hold null where a manifest has NaN


def _title(record: dict[str, Any]) -> str:
    seeds = f"seeds {record['distillation_seed']}/{record['training_seed']}"
    return f"record {record['method']} ipc {record['ipc']} {record['student']} {seeds}"


def _set_aside(store: Store, keys: set[str] | None) -> list[Path]:
    """Return the folders of artefacts that were set aside: of these keys, or all."""
    found = sorted(path for kind in KINDS for path in store.folder.glob(f"{kind}/{ASIDE}*"))
    return [path for path in found if keys is None or any(path.name.startswith(f"{ASIDE}{key}-") for key in keys)]
