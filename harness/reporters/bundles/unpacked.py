"""A bundle as the folder of a run, so that whatever reads runs reads it: in a temporary folder, or in one that the reader names.

Nothing is written before every file of the bundle is checked, and nothing of the sender's is: records and description are written
anew, pictures are decoded and encoded again.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from harness.core.bundle_files import MANIFEST, is_bundle
from harness.core.errors import UserError
from harness.core.io import writing
from harness.core.run_folder import RunFolder
from harness.reporters.bundles.pictures import safe_png
from harness.reporters.bundles.read import Bundle, read_bundle

_OPEN: dict[tuple[Path, int, int], Path] = {}
"""The temporary folder of each bundle that this process has read, by its path, time and size."""


_SENT: dict[Path, Path] = {}
"""Temporary folder -> the bundle that it is of."""


CLAIM = "the files are those that were sent and fit their keys; the numbers are the sender's word"


def opened(path: Path) -> Path:
    """Return a temporary folder of a run with what a bundle holds but for pictures; it is gone when the process ends.

    Raises:
        UserError: as `read_bundle`.
    """
    about = path.stat() if path.is_file() else (path / MANIFEST).stat()
    known = (path.resolve(), about.st_mtime_ns, about.st_size)
    if known not in _OPEN:
        bundle = read_bundle(path)
        base = Path(tempfile.mkdtemp(prefix="harness-bundle-"))
        atexit.register(shutil.rmtree, base, ignore_errors=True)
        folder = (base / bundle.name).resolve()
        _fill(bundle, folder)
        _OPEN[known], _SENT[folder] = folder, path
    return _OPEN[known]


def bundle_of(folder: Path) -> Path | None:
    """Return the bundle that a folder was made of by `opened`; None: it is a run of its own."""
    return _SENT.get(folder.resolve())


def refuse_writing(folder: Path) -> None:
    """Refuse to write into a bundle.

    Raises:
        UserError: the folder was made of one.
    """
    if sent := bundle_of(folder):
        raise UserError(
            f"{sent} is a bundle, into which nothing is written. `harness report {sent} --to FOLDER` makes a run of it there, "
            "with tables, and figures and page where --figures and --html ask for them."
        )


def unpack(path: Path, target: Path) -> Path:
    """Write a bundle as the folder of a run that is kept, contact sheets and all, and return it.

    Raises:
        UserError: as `read_bundle`; or the folder exists and is not empty, or cannot be written.
    """
    bundle = read_bundle(path)
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UserError(f"--to {target} exists and is not an empty folder; nothing is overwritten. Give another.")
    with writing(target):
        _fill(bundle, target)
        _write_sheets(bundle, RunFolder(target).images)
    return target


def sheets_of(folder: Path, target: Path) -> Path:
    """Write the contact sheets of the bundle that a folder was made of by `opened` into a new folder, and return that.

    Raises:
        UserError: as `read_bundle`.
    """
    _write_sheets(read_bundle(_SENT[folder.resolve()]), target)
    return target


def _write_sheets(bundle: Bundle, folder: Path) -> None:
    """Write the sheets of a bundle, each decoded and encoded anew."""
    for name, content in bundle.sheets.items():
        if safe := safe_png(content):
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(safe)


def marked(records: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Return records whose methods are named with the bundle that they came in, so that no table mixes them with others."""
    sent = bundle_of(folder)
    if sent is None:
        return records
    return [r | {"method_title": f"{r.get('method_title') or r['method']} [{sent.name}]"} for r in records]


def _fill(bundle: Bundle, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    run.about_file.write_text(json.dumps(bundle.about, indent=1), encoding="utf-8")
    run.write_records(bundle.records)


def bundles_in(folder: str | Path) -> list[Path]:
    """Return the bundles that lie in a folder, by name; none where it is a run or a bundle itself, or no folder."""
    place = Path(folder)
    if is_bundle(place) or RunFolder(place).exists or not place.is_dir():
        return []
    return sorted(path for path in place.iterdir() if not path.is_symlink() and is_bundle(path))
