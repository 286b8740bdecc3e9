"""Runs to send: `harness bundle`, and `harness.bundle` in Python. What reads them is `harness.report`."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from harness.api.export import export
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.plugin.fingerprint import code_fingerprint
from harness.core.run_folder import RunFolder
from harness.core.text import byte_size, times
from harness.reporters import build_reports
from harness.reporters.bundles.pictures import PICTURES_BYTES
from harness.reporters.bundles.read import Bundle, read_bundle
from harness.reporters.bundles.unpacked import bundle_of
from harness.reporters.bundles.write import bundle_files, tables_of, write_bundle
from harness.reporters.runs import Run, as_frame, find_run, store_of


def bundle(
    run: Run | Path | str | None = None,
    *,
    to: str | Path,
    sets: bool = False,
    pictures: int = PICTURES_BYTES,
    store: str | Path = "results",
) -> Path:
    """Write a run to one file for sharing, and return it: records, configs, environment, tables, figures, contact sheets.

    Equal runs give byte-equal files. Not included: folders of files, host names, addresses of stores, the event log,
    tracebacks of failed jobs, and contact sheets of further seeds.

    Args:
        run: what `harness.run` returned, a run's name or folder; None: the newest run of the store.
        to: a file name ending in .zip, or a folder for the same files; existing files are never overwritten.
        sets: add the images, and stored soft labels, of every distilled set.
        pictures: size limit of contact sheets and figures in bytes; they are scaled down to fit.
        store: where runs are found by name, and artefacts if the run is not in a store.

    Raises:
        UserError: no such run, it is already a bundle, the store no longer has its artefacts, or `to` exists.

    Examples:
        >>> import harness
        >>> harness.bundle("first", to="first.zip")  # doctest: +SKIP
    """
    folder = find_run(run, store)
    if sent := bundle_of(folder):
        raise UserError(f"{sent} is already a bundle; send this file.")
    opened = RunFolder(folder)
    files, records = bundle_files(opened, store_of(folder, store), pictures)
    files |= tables_of(build_reports(as_frame(records)))
    if sets:
        files |= _sets(folder, records, store)
    name = re.sub(r"[^A-Za-z0-9_.+-]", "-", folder.name)[:100].lstrip(".+-") or "run"
    write_bundle(name, files, Path(to))
    return Path(to)


def check_bundle(path: str | Path) -> Bundle:
    """Return what a bundle holds after every check that can be made of it without the sender's store.

    Raises:
        UserError: it is no bundle, too large, damaged or forged; one message says which file and what was expected.
    """
    return read_bundle(path)


def contents(bundle: Bundle) -> list[str]:
    """Return a few lines on what a bundle holds."""
    about, rows = bundle.about, bundle.records
    ended = ", ".join(f"{number} {status}" for status, number in Counter(r["status"] for r in rows).items())
    git = about.get("environment", {}).get("git", {})
    changed = " with uncommitted changes" if git.get("dirty") else ""
    code = f"commit {git['commit']}{changed}" if git.get("commit") else "commit unknown"
    ipcs = sorted({r["ipc"] for r in rows if r["ipc"] is not None})
    return [
        f"run        {bundle.name}, {byte_size(bundle.num_bytes)}: {times(len(rows), 'record')} ({ended})",
        f"suite      {about['suite']['name']} (version {about['suite'].get('version')}), data {about['data_fingerprint'][:12]}",
        f"protocol   {about['protocol']['name']} (version {about['protocol'].get('version')})",
        f"methods    {', '.join(sorted({r['method'] for r in rows}))}; IPC {', '.join(map(str, ipcs)) or 'none'}",
        f"harness    {about.get('environment', {}).get('harness', 'unknown')}, {code}",
        f"code       {_code(about['methods'])}",
        f"keys       {times(len(bundle.identities), 'key')} recomputed: all match their records",
    ]


def _code(methods: dict[str, dict[str, Any]]) -> str:
    """Say of each method whether its code is that of the same name here; nothing of the bundle is run for that."""
    discovery.discover()
    found: dict[str, list[str]] = {}
    for name, about in methods.items():
        if about.get("skipped"):
            continue
        try:
            own = code_fingerprint(discovery.methods.get(name)) if name in discovery.methods else None
        except UserError:  # it is here and cannot be imported
            own = None
        told = (
            "not here" if own is None else "as here" if own == str(about.get("code")).partition("+")[0] else "another"
        )
        found.setdefault(told, []).append(name)
    return "; ".join(f"{told}: {', '.join(names)}" for told, names in sorted(found.items())) or "of no method"


def _sets(folder: Path, records: list[dict[str, Any]], store: str | Path) -> dict[str, bytes]:
    """Return images and stored labels of the distilled sets, as `harness export` writes them."""
    found = {}
    done = {(r["method"], r["ipc"], r["distillation_seed"]) for r in records if r["status"] == "done" and r["ipc"]}
    with tempfile.TemporaryDirectory() as temporary:
        for method, ipc, seed in sorted(done):
            name = f"{method}_ipc{ipc}_seed{seed}"
            out = export(folder, method=method, ipc=ipc, to=Path(temporary) / name, distill_seed=seed, store=store)
            for path in sorted(out.rglob("*")):
                if path.is_file():
                    found[f"sets/{path.relative_to(temporary).as_posix()}"] = path.read_bytes()
    return found
