"""Content-addressed artefacts: a folder per finished job, there whole or not at all.

In: a job's kind and key and the files that it writes. Out: the same files, with a manifest of sizes and SHA-256s.
A local store writes beside the final place and renames; a remote one (any fsspec URI) uploads the manifest last, so
an artefact without a manifest does not exist. The store knows neither plans nor results.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import UserError

MANIFEST = "manifest.json"
_HOST = platform.node().replace("-", "_") or "localhost"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it lives and belongs to somebody else
    return True


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_text_atomically(path: Path, text: str) -> None:
    """Replace a file in one step: a reader sees the old text or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


class Store:
    """Artefacts under `root`/store, runs under `root`/runs.

    Args:
        root: local folder, or a URI that fsspec knows ("s3://bucket/x"). Runs are always written locally.
    """

    def __init__(self, root: str | Path) -> None:
        self.uri = str(root)
        self.is_remote = "://" in self.uri and not self.uri.startswith("file://")
        local = self.uri.removeprefix("file://")
        cache = hashlib.sha256(self.uri.encode()).hexdigest()[:12]
        self.root = Path(tempfile.gettempdir()) / f"harness-{cache}" if self.is_remote else Path(local)
        self.folder = self.root / "store"
        self.runs = self.root / "runs"

    @cached_property
    def _remote(self) -> tuple[Any, str]:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(self.uri)
        return filesystem, path.rstrip("/") + "/store"

    def check_writable(self) -> None:
        """Make sure that artefacts can be written before any work starts.

        Raises:
            UserError: the folder cannot be made or written; nothing is left behind.
        """
        try:
            made = [p for p in (self.folder, *self.folder.parents) if not p.exists()]
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with tempfile.TemporaryFile(dir=self.folder):
                    pass
            except OSError:
                for path in made:
                    path.rmdir()
                raise
            if self.is_remote:
                filesystem, base = self._remote
                filesystem.makedirs(base, exist_ok=True)
        except Exception as error:
            raise UserError(
                f"store {self.uri}: cannot be written ({error}). Give a folder that you may write to with --store DIR."
            ) from None

    def path(self, kind: str, key: str) -> Path:
        """Return the local folder of an artefact; it may not exist yet."""
        return self.folder / kind / key

    def has(self, kind: str, key: str) -> bool:
        """Return whether the artefact is there, with every file at its full size."""
        if self.is_remote and not (self.path(kind, key) / MANIFEST).is_file():
            self._download(kind, key)
        manifest = self._read_manifest(kind, key)
        if manifest is None:
            return False
        folder = self.path(kind, key)
        try:
            return all((folder / name).stat().st_size == info["size"] for name, info in manifest["files"].items())
        except OSError:
            return False

    def _read_manifest(self, kind: str, key: str) -> dict[str, Any] | None:
        try:
            manifest = json.loads((self.path(kind, key) / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return manifest if isinstance(manifest, dict) and "files" in manifest else None

    def manifest(self, kind: str, key: str) -> dict[str, Any]:
        """Return the manifest of an artefact.

        Raises:
            FileNotFoundError: the artefact does not exist or is damaged.
        """
        manifest = self._read_manifest(kind, key) if self.has(kind, key) else None
        if manifest is None:
            raise FileNotFoundError(f"no artefact {kind}/{key} in store {self.uri}")
        return manifest

    def damaged_files(self, kind: str, key: str) -> list[str]:
        """Return the files whose content is no longer what the manifest says."""
        folder = self.path(kind, key)
        files = self.manifest(kind, key)["files"]
        return [name for name, info in files.items() if file_sha256(folder / name) != info["sha256"]]

    def write(self, kind: str, key: str, fill: Callable[[Path], dict[str, Any]], *, replace: bool = False) -> None:
        """Let `fill` write files into a temporary folder and return the manifest's other fields; then publish both.

        Args:
            replace: publish even if the artefact is already there (a fresh run).
        """
        with self._temporary(kind, key) as folder:
            fields = fill(folder)
            files = {
                path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": file_sha256(path)}
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            }
            manifest = {**fields, "kind": kind, "key": key, "files": files}
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
            self._publish(folder, kind, key, replace=replace)
        if self.is_remote:
            self._upload(kind, key)

    @contextmanager
    def _temporary(self, kind: str, key: str) -> Iterator[Path]:
        parent = self.folder / kind
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{key[:12]}-{_HOST}-{os.getpid()}-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _publish(self, folder: Path, kind: str, key: str, *, replace: bool) -> None:
        """Rename into place. Whoever comes second with an equal key holds an equal artefact and drops it."""
        final = self.path(kind, key)
        folder.chmod(0o755)
        for _ in range(10):
            if final.exists() and (replace or not self.has(kind, key)):
                aside = final.with_name(f".{key[:12]}-old-{uuid.uuid4().hex}")
                try:
                    final.rename(aside)
                except FileNotFoundError:
                    continue
                shutil.rmtree(aside, ignore_errors=True)
            try:
                folder.rename(final)
                return
            except OSError:
                if not replace and self.has(kind, key):
                    return
        raise OSError(f"artefact {kind}/{key} could not be published into {final}")

    def sweep(self) -> None:
        """Remove temporary folders whose process, on this machine, is gone: killed runs left them."""
        for path in self.folder.glob("*/.*-*-*"):
            _, host, pid, *_ = path.name.rsplit("-", 3)
            if host == _HOST and pid.isdigit() and not _is_alive(int(pid)):
                shutil.rmtree(path, ignore_errors=True)

    def scratch(self, key: str) -> Path:
        """Return the folder for the checkpoints of a job in progress; removed when the job is done."""
        return self.folder / "partial" / key

    def _upload(self, kind: str, key: str) -> None:
        filesystem, base = self._remote
        folder, target = self.path(kind, key), f"{base}/{kind}/{key}"
        names = [*json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"], MANIFEST]
        for name in names:
            filesystem.makedirs(os.path.dirname(f"{target}/{name}"), exist_ok=True)
            filesystem.put_file(str(folder / name), f"{target}/{name}")

    def _download(self, kind: str, key: str) -> None:
        filesystem, base = self._remote
        source = f"{base}/{kind}/{key}"
        if not filesystem.exists(f"{source}/{MANIFEST}"):
            return
        with self._temporary(kind, key) as folder:
            filesystem.get_file(f"{source}/{MANIFEST}", str(folder / MANIFEST))
            for name in json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(f"{source}/{name}", str(folder / name))
            self._publish(folder, kind, key, replace=False)
