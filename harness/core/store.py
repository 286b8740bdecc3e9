"""Content-addressed artefacts: a folder per finished job, there whole or not at all.

In: a job's kind and key and the files that it writes. Out: the same files, with a manifest of sizes and SHA-256s.
A local store writes beside the final place and renames; a remote one (any fsspec URI) uploads the manifest last, so
an artefact without a manifest does not exist. What is here of a remote store is a copy: the remote says what there is.
The store knows neither plans nor results.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.io import file_sha256
from harness.core.manifest import parse_manifest
from harness.core.paths import below, is_regular, leads_elsewhere, plain_name
from harness.core.remote import RemoteFolder, cache_folder, make_private
from harness.core.remote_artefacts import MANIFEST, RemoteArtefacts

_HOST = platform.node().replace("-", "_") or "localhost"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it lives and belongs to somebody else
    return True


def _written_ns(path: Path) -> int:
    """Return when a file was written; 0 for one that was removed meanwhile."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class Store:
    """Artefacts under `root`/store, runs under `root`/runs.

    Args:
        root: local folder, or a URI that fsspec knows ("s3://bucket/x"), whose files are copied here when they are read.
    """

    def __init__(self, root: str | Path) -> None:
        self.uri = str(root)
        self.is_remote = "://" in self.uri and not self.uri.startswith("file://")
        local = self.uri.removeprefix("file://")
        self.root = cache_folder(self.uri) if self.is_remote else Path(local)
        self.folder = self.root / "store"
        self.runs = self.root / "runs"

    @cached_property
    def remote(self) -> RemoteFolder:
        """The folder behind the URI."""
        return RemoteFolder(self.uri)

    @cached_property
    def _remote(self) -> RemoteArtefacts:
        return RemoteArtefacts(self.remote)

    def make_cache(self) -> None:
        """Make the private folder for copies of a remote store; a local store has none.

        Raises:
            UserError: somebody else can write there.
        """
        if self.is_remote:
            make_private(self.uri)

    def check_writable(self) -> None:
        """Make sure that artefacts can be written before any work starts.

        Raises:
            UserError: the folder cannot be made or written; nothing is left behind.
        """
        try:
            if self.is_remote:
                self.remote.make()
                self.make_cache()
            made = [p for p in (self.folder, *self.folder.parents) if not p.exists()]
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with tempfile.TemporaryFile(dir=self.folder):
                    pass
            except OSError:
                for path in made:
                    path.rmdir()
                raise
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"store {self.uri}: cannot be written ({error}). Give a folder that you may write to with --store DIR."
            ) from None

    def path(self, kind: str, key: str) -> Path:
        """Return the local folder of an artefact; it may not exist yet. `fetch` makes sure that it does."""
        return self.folder / plain_name(kind) / plain_name(key)

    def has(self, kind: str, key: str, *, anew: bool = False) -> bool:
        """Return whether the artefact is there; a local one with every file at its full size.

        Of a remote store each kind is listed once: nothing is copied. What other machines write after that listing is
        overlooked; `anew`, `fetch` and `manifest` ask the remote itself.
        """
        if not self.is_remote:
            return self._is_whole(kind, key)
        return self._remote.has(kind, key, anew=anew)

    def offer(self, kind: str, key: str) -> bool:
        """Upload an artefact that lies here whole, with the right sums, and not at the remote: an upload had failed.

        Returns:
            Whether the remote has it now. What lies here damaged is removed.
        """
        if not self.is_remote or not self._is_whole(kind, key):
            return False
        manifest, folder = self._read_manifest(kind, key) or {"files": {}}, self.path(kind, key)
        if any(file_sha256(folder / name) != info["sha256"] for name, info in manifest["files"].items()):
            shutil.rmtree(folder, ignore_errors=True)
            return False
        self._upload(kind, key, replace=False)
        return True

    def fetch(self, kind: str, key: str) -> Path:
        """Return the local folder of an artefact with all its files; those of a remote store are copied here once.

        Raises:
            FileNotFoundError: the artefact does not exist or is damaged.
        """
        if self.is_remote:
            self._download(kind, key)
        if not self._is_whole(kind, key):
            raise FileNotFoundError(self._absent(kind, key))
        return self.path(kind, key)

    def _absent(self, kind: str, key: str) -> str:
        return f"no artefact {kind}/{key} in store {self.uri}"

    def _is_whole(self, kind: str, key: str) -> bool:
        """Return whether the folder here has every file at its full size; a link is no file."""
        manifest = self._read_manifest(kind, key)
        if manifest is None:
            return False
        folder = self.path(kind, key)
        try:
            inner = {parent for name in manifest["files"] if (parent := name.rpartition("/")[0])}
            if any(leads_elsewhere(folder, parent) for parent in inner):
                return False
            files = ((folder / name, info["size"]) for name, info in manifest["files"].items())
            return all(is_regular(path) and path.lstat().st_size == size for path, size in files)
        except OSError:
            return False

    def _read_manifest(self, kind: str, key: str) -> dict[str, Any] | None:
        path = self.path(kind, key) / MANIFEST
        try:
            return parse_manifest(path.read_text(encoding="utf-8")) if is_regular(path) else None
        except (OSError, UnicodeDecodeError):
            return None

    def manifest(self, kind: str, key: str) -> dict[str, Any]:
        """Return the manifest of an artefact; of a remote store it alone is read.

        Raises:
            FileNotFoundError: the artefact does not exist or is damaged.
        """
        if self.is_remote:
            manifest = parse_manifest(self._remote.manifest_text(kind, key) or "")
        else:
            manifest = self._read_manifest(kind, key) if self._is_whole(kind, key) else None
        if manifest is None:
            raise FileNotFoundError(self._absent(kind, key))
        return manifest

    def local_manifests(self, kinds: Iterable[str], prefix: str = "") -> Iterator[dict[str, Any]]:
        """Yield the manifests that lie on this machine, the newest first; `has` says which artefacts are whole.

        Args:
            kinds: of job.
            prefix: what the keys begin with.
        """
        pattern = f"{prefix or '[!.]'}*/{MANIFEST}"
        paths = [path for kind in kinds for path in (self.folder / kind).glob(pattern)]
        for path in sorted(paths, key=_written_ns, reverse=True):
            manifest = self._read_manifest(path.parent.parent.name, path.parent.name)
            if manifest is not None:
                yield manifest

    def damaged_files(self, kind: str, key: str) -> list[str]:
        """Return the files whose content is no longer what the manifest says."""
        folder = self.fetch(kind, key)
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
            self._publish(folder, kind, key, lambda: not replace and self._is_whole(kind, key))
        if self.is_remote:
            self._upload(kind, key, replace=replace)

    @contextmanager
    def _temporary(self, kind: str, key: str) -> Iterator[Path]:
        self.make_cache()
        parent = below(self.folder, kind)
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{key[:12]}-{_HOST}-{os.getpid()}-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _publish(self, folder: Path, kind: str, key: str, keep: Callable[[], bool]) -> None:
        """Rename into place. What is there stays if `keep` says so: who comes second with an equal key drops his own."""
        final = self.path(kind, key)
        folder.chmod(0o755)
        for _ in range(10):
            if final.exists() and not keep():
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
                if keep():
                    return
        raise OSError(f"artefact {kind}/{key} could not be published into {final}")

    def sweep(self) -> None:
        """Remove temporary folders whose process, on this machine, is gone: killed runs left them."""
        for path in self.folder.glob("*/.*-*-*"):
            if path.parent.is_symlink():
                continue
            _, host, pid, *_ = path.name.rsplit("-", 3)
            if host == _HOST and pid.isdigit() and not _is_alive(int(pid)):
                shutil.rmtree(path, ignore_errors=True)

    def scratch(self, key: str) -> Path:
        """Return the folder for the checkpoints of a job in progress; removed when the job is done."""
        return below(self.folder, f"partial/{plain_name(key)}")

    def _upload(self, kind: str, key: str, *, replace: bool) -> None:
        """Copy an artefact to the remote, the manifest last; one that another machine put there first stays."""
        manifest = self._read_manifest(kind, key)
        assert manifest is not None, "it was just published"
        self._remote.put(kind, key, self.path(kind, key), manifest["files"], replace=replace)

    def _download(self, kind: str, key: str) -> None:
        """Copy an artefact here unless the copy is that of the remote's manifest; without one there is nothing to copy."""
        text = self._remote.manifest_text(kind, key)
        manifest = parse_manifest(text or "")
        if text is None or manifest is None:
            self._remote.unlist(kind, key)
            raise FileNotFoundError(self._absent(kind, key))

        def is_copy() -> bool:
            own = self.path(kind, key) / MANIFEST
            return self._is_whole(kind, key) and own.read_text(encoding="utf-8") == text

        self.make_cache()
        if is_copy():
            return
        with self._temporary(kind, key) as folder:
            self._remote.get(kind, key, manifest["files"], folder)
            (folder / MANIFEST).write_text(text, encoding="utf-8")
            self._publish(folder, kind, key, is_copy)
