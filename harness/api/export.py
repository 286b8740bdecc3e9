"""Export a distilled set of a run for other tools: `harness export`, and `harness.export` in Python.

In: a run, a method and an IPC. Out: a folder that is there whole or not at all. Nothing that exists is overwritten.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from harness.core.classes import ClassInfo
from harness.core.errors import UserError, did_you_mean
from harness.core.integrity import DamagedArtefact
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.data.sets.export import known_format, numbered, write_manifest
from harness.data.sets.export_set import ExportedSet
from harness.data.sets.soft_labels import load_labels
from harness.reporters.runs import Run, find_run, load_results, store_of

ABOUT = (
    "suite", "suite_version", "source", "method", "method_title", "method_version", "config", "ipc", "distillation_seed",
    "draws", "image_size", "storage_bytes", "notes", "run", "distilled_key",
)  # fmt: skip
"""Fields of the record that go into the manifest of what is exported."""


def export(
    run: Run | Path | str | None = None,
    *,
    method: str,
    ipc: int,
    to: str | Path,
    format: str = "imagefolder",
    distill_seed: int | None = None,
    store: str | Path = "results",
) -> Path:
    """Write a distilled set of a run for other tools and return its folder.

    Args:
        run: what `harness.run` returned, a run's name or folder; None: the newest run of the store.
        method: the method that made the set.
        ipc: images per class of the set; for a generative pool, all images that students saw are written.
        to: a folder that does not exist or is empty.
        format: "imagefolder", "webdataset", "parquet", or a format of the authors' code: "dc", "mtt", "ddranking", "sre2l".
        distill_seed: required if the run made several sets; None: there is only one.
        store: where runs are found by name, and sets if the run is not in a store.

    Raises:
        UserError: there is no such run, set or format, the folder is not empty, or the set is damaged.

    Examples:
        >>> import harness
        >>> harness.export("first", method="random_real", ipc=10, to="exported")  # doctest: +SKIP
    """
    write, target = known_format(format), Path(to)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(
            f"{target} exists and is not an empty folder; nothing was overwritten. Choose another folder with --to."
        )
    folder = find_run(run, store)
    given = _collect(store_of(folder, store), folder, _record(folder, method, ipc, distill_seed))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
            filled = Path(temporary) / "set"
            filled.mkdir()
            write(given, filled)
            write_manifest(given, filled)
            if target.exists():
                target.rmdir()
            filled.rename(target)
    except OSError as error:
        raise UserError(f"--to {target}: cannot be written ({error}). Choose a writable folder.") from None
    return target


def _record(folder: Path, method: str, ipc: int, distill_seed: int | None) -> dict[str, Any]:
    """Return a record of the set that is asked for; one with stored soft labels where there is one."""
    rows = load_results(folder)
    methods = sorted(set(rows["method"]))
    if method not in methods:
        raise UserError(
            f"run {folder.name} has no method {method!r}.{did_you_mean(method, methods)} Methods: {', '.join(methods)}."
        )
    made = rows["distilled_key"].fillna("") != "" if "distilled_key" in rows else False
    own = rows[(rows["method"] == method) & made & rows["distillation_seed"].notna()]
    known = sorted(int(n) for n in own["ipc"].dropna().unique())
    if ipc not in known:
        has = f"It has IPC {', '.join(map(str, known))}" if known else "It has no sets"
        raise UserError(f"run {folder.name} has no set of method {method!r} at IPC {ipc}. {has}.")
    own = own[own["ipc"] == ipc]
    seeds = sorted(int(n) for n in own["distillation_seed"].unique())
    if distill_seed is None and len(seeds) > 1:
        raise UserError(
            f"run {folder.name} has {len(seeds)} sets of method {method!r} at IPC {ipc}; choose one with "
            f"--distill-seed {seeds[0]} (of {', '.join(map(str, seeds))})."
        )
    if distill_seed is not None and distill_seed not in seeds:
        raise UserError(
            f"run {folder.name} has no set of distillation seed {distill_seed}; it has {', '.join(map(str, seeds))}."
        )
    own = own[own["distillation_seed"] == (seeds[0] if distill_seed is None else distill_seed)]
    stored = own["labels"] == "stored" if "labels" in own else True
    labelled = own[own["label_bytes"].notna() & stored] if "label_bytes" in own else own.iloc[:0]
    best = (labelled if len(labelled) else own).iloc[0]
    return {str(name): None if missing else best[str(name)] for name, missing in best.isna().items()}


def _collect(store: Store, folder: Path, record: dict[str, Any]) -> ExportedSet:
    """Return the files of a set, checked against the store's manifest, with its stored soft labels."""
    key = str(record["distilled_key"])
    _check_whole(store, "synthesize", key)
    classes = _classes(RunFolder(folder))
    per_class = int(record["ipc"]) * int(record.get("draws") or 1)
    images = {c.id: _images(store, key, c.id)[:per_class] for c in classes}
    if short := [c for c, files in images.items() if len(files) < per_class]:
        raise UserError(
            f"run {folder.name} states {per_class} images of each class, but artefact synthesize/{key} has "
            f"{len(images[short[0]])} of class {short[0]!r}."
        )
    labels = None
    if record.get("label_bytes") is not None and record.get("labels", "stored") == "stored":
        kind, label_key = ("label", str(record["label_key"])) if record.get("label_key") else ("synthesize", key)
        _check_whole(store, kind, label_key)
        rows = load_labels(store.path(kind, label_key), classes, ipc=per_class)
        if len(rows) != per_class * len(classes):
            raise UserError(f"artefact {kind}/{label_key} has fewer soft labels than run {folder.name} states.")
        labels = dict(zip([c.id for c in classes], rows.split(per_class), strict=True))
    about = {name: _plain(record.get(name)) for name in ABOUT} | {"config": json.loads(record.get("config") or "{}")}
    return ExportedSet(classes, images, labels, about)


def _images(store: Store, key: str, class_id: str) -> list[Path]:
    """Return the PNGs of a class that the manifest names, in order."""
    files = store.manifest("synthesize", key)["files"]
    names = [name for name in files if name.endswith(".png") and name.rpartition("/")[0] == class_id]
    return numbered([store.path("synthesize", key) / name for name in names])


def _classes(run: RunFolder) -> tuple[ClassInfo, ...]:
    """Return the classes of a run in label order, from what it wrote down.

    Raises:
        UserError: it wrote none down.
    """
    ids = run.about.get("classes")
    if not ids:
        raise UserError(f"run {run.name}: its description lists no classes, so it cannot be exported.")
    names = run.about.get("class_names") or ids
    return tuple(ClassInfo(c, label, name) for label, (c, name) in enumerate(zip(ids, names, strict=True)))


def _check_whole(store: Store, kind: str, key: str) -> None:
    try:
        store.fetch(kind, key)
    except DamagedArtefact as error:
        raise UserError(f"{error}. Run the same `harness run` command to create it again.") from None
    except FileNotFoundError:
        raise UserError(
            f"store {store.uri} no longer holds the set (artefact {kind}/{key}). Run the same `harness run` command "
            "to create it."
        ) from None


def _plain(value: Any) -> Any:
    """Return a value of a DataFrame as JSON knows it; whole numbers, which a column with gaps has as 16.0, are whole."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value
