"""Make a bundle of a run: everything that a reader needs to judge its numbers, in as few bytes as that takes.

In: the folder of a run and the store of its artefacts. Out: files by name, with equal bytes for an equal run; a zip or a folder
of them. What is private is left out (`harness.reporters.bundles.private`).
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.bundle_files import MANIFEST, make_manifest
from harness.core.errors import UserError
from harness.core.io import canonical_json, replaced
from harness.core.run_folder import RunFolder
from harness.core.run_json import RUN
from harness.core.store import Store
from harness.reporters.bundles.pictures import packed_pictures
from harness.reporters.bundles.private import Scrubber
from harness.reporters.bundles.read import IDENTITIES, RECORDS, check_contents
from harness.reporters.tables.table import Table

_JOBS = (("train_key", "train"), ("distilled_key", "synthesize"), ("label_key", "label"))


_TIME = (1980, 1, 1, 0, 0, 0)
"""Of every file in a zip: the first that one can hold."""


_PACKED = (".gz", ".png")
"""Endings of files that a zip would not make smaller."""


def bundle_files(run: RunFolder, store: Store, pictures: int) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Return the files of a run's bundle but for tables, sets and MANIFEST.json, by name; and the records as they are sent.

    Args:
        run: with its records.
        store: of its artefacts.
        pictures: bytes for contact sheets and figures.

    Raises:
        UserError: the run has no records or not those of its jobs, the store lacks what their keys are hashed from, or an option
            in a key is a path.
    """
    records, about = run.records, run.about
    scrubber = Scrubber(_hosts(about, records), _folders(about, run, store))
    identities = _identities(store, records)
    for key, identity in identities.items():
        if scrubber.value(identity) != identity:
            raise UserError(
                f"run {run.name}: a path or address of this machine is part of the key of {identity['kind']} job {key[:12]}, "
                "so the bundle cannot leave it out. Give the option a relative path and run again, or mark it as UNHASHED in "
                "the method's Config."
            )
    sent, described = [_without_nan(scrubber.record(record)) for record in records], scrubber.about(about)
    try:
        check_contents(described, sent, identities)
    except ValueError as error:
        raise UserError(f"run {run.name} makes no bundle: {error}. `harness verify {run.name}` may say more.") from None
    files = {
        RUN: (json.dumps(described, indent=1, sort_keys=True) + "\n").encode(),
        RECORDS: _gzip(sent),
        IDENTITIES: _gzip(identities),
    }
    return files | packed_pictures(run, pictures), sent


def tables_of(tables: Mapping[str, Table]) -> dict[str, bytes]:
    """Return the files of tables."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [path for name, table in tables.items() for path in table.save(Path(folder), name)]
        return {f"tables/{path.name}": path.read_bytes() for path in paths}


def write_bundle(name: str, files: Mapping[str, bytes], target: Path) -> None:
    """Write a bundle: a zip where the name ends with .zip, else a folder that is new or empty; whole or not at all.

    Raises:
        UserError: it exists already, or cannot be written.
    """
    manifest = json.dumps(make_manifest(name, files), indent=1) + "\n"
    whole = {**files, MANIFEST: manifest.encode()}
    try:
        if target.suffix.lower() == ".zip":
            if target.exists() or target.is_symlink():
                raise UserError(f"--to {target} exists; nothing is overwritten. Remove it, or give another name.")
            with replaced(target) as part:
                part.write_bytes(zipped(whole))
        else:
            _write_folder(whole, target)
    except OSError as error:
        raise UserError(f"--to {target}: cannot be written: {error.strerror or error}.") from None


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip with equal bytes for equal files: names in order, no times, no owner."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(_PACKED) else zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name], compresslevel=9)
    return buffer.getvalue()


def _write_folder(files: Mapping[str, bytes], target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"--to {target} exists and is not an empty folder; nothing is overwritten. Give another.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        filled = Path(temporary) / "bundle"
        for name, content in files.items():
            path = filled / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if target.exists():
            target.rmdir()
        filled.rename(target)


def _gzip(value: Any) -> bytes:
    return gzip.compress(canonical_json(value).encode(), 9, mtime=0)


def _without_nan(value: Any) -> Any:
    """Return plain JSON with null for what is no number."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return {name: _without_nan(one) for name, one in value.items()} if isinstance(value, dict) else value


def _identities(store: Store, records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the keys of the records' jobs, and of the jobs that these stand on, are hashed from."""
    named = {(kind, r[name]) for r in records if r["status"] == "done" for name, kind in _JOBS if r.get(name)}
    found: dict[str, dict[str, Any]] = {}
    for kind, key in sorted(named):
        try:
            manifest = store.manifest(kind, key)
        except FileNotFoundError:
            manifest = {}
        if not manifest.get("identity"):
            raise UserError(
                f"store {store.uri} no longer tells what the key of {kind} {key} is hashed from, so that no reader could check "
                "the records. The same `harness run` command makes it again; --store DIR looks elsewhere."
            )
        found[key] = manifest["identity"]
    return dict(sorted(found.items()))


def _hosts(about: dict[str, Any], records: list[dict[str, Any]]) -> set[str]:
    own = {os.uname().nodename} if hasattr(os, "uname") else set()
    told = {str(r.get("host") or "") for r in records} | {str(x.get("host") or "") for x in about.get("losses", [])}
    return own | told | {name.partition(".")[0] for name in own | told}


def _folders(about: dict[str, Any], run: RunFolder, store: Store) -> list[str | Path]:
    request = about.get("request", {})
    named = [request.get(name) for name in ("store", "data_root", "weights_root")]
    absolute = [text for text in named if isinstance(text, str) and Path(text).is_absolute()]
    return [Path.home(), Path.cwd(), run.path.resolve(), store.root.resolve(), tempfile.gettempdir(), *absolute]
