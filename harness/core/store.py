"""Content-addressed artefacts: a folder per finished job, there whole or not at all.

In: a job's kind and key and the files that it writes. Out: the same files, with a manifest of sizes and SHA-256s.
A local store writes beside the final place and renames; a remote one (any fsspec URI) uploads the manifest last, so
an artefact without a manifest does not exist. What is here of a remote store is a copy: the remote says what there is.
The store knows neither plans nor results.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core import integrity, temporary
from harness.core.errors import UserError
from harness.core.integrity import MANIFEST, DamagedArtefact, read_manifest
from harness.core.io import file_sha256, written_ns
from harness.core.manifest import is_edited, parse_manifest, sealed
from harness.core.paths import below, plain_name
from harness.core.remote import RemoteFolder, cache_folder, make_private
from harness.core.remote_artefacts import RemoteArtefacts
from harness.core.remote_errors import RemoteError

_LOG = logging.getLogger(__name__)


class Store:
    """Artefacts under `root`/store, runs under `root`/runs.

    Args:
        root: local folder, or a URI that fsspec knows ("s3://bucket/x"), whose files are copied here when they are read.

    Attributes:
        damaged: a line for each artefact that was found damaged through this object.
    """

    def __init__(self, root: str | Path) -> None:
        self.uri = str(root)
        self.is_remote = "://" in self.uri and not self.uri.startswith("file://")
        local = self.uri.removeprefix("file://")
        self.root = cache_folder(self.uri) if self.is_remote else Path(local)
        self.folder = self.root / "store"
        self.runs = self.root / "runs"
        self.damaged: list[str] = []

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
                f"store {self.uri}: cannot be written ({error}). Choose a writable folder with --store DIR."
            ) from None

    def path(self, kind: str, key: str) -> Path:
        """Return the local folder of an artefact; it may not exist yet. `fetch` makes sure that it does."""
        return self.folder / plain_name(kind) / plain_name(key)

    def has(self, kind: str, key: str, *, anew: bool = False) -> bool:
        """Return whether the artefact is there; a local one with every file at its full size.

        Of a remote store each kind is listed once; what others write later is overlooked. `anew` and `fetch` ask it itself.
        """
        if not self.is_remote:
            return self._is_whole(kind, key)
        return self._remote.has(kind, key, anew=anew)

    def offer(self, kind: str, key: str) -> bool:
        """Upload an artefact that lies here only, because an upload had failed; return whether it is good and there now."""
        if not self.is_remote or not self._is_whole(kind, key):
            return False
        if good := not integrity.flaw(self.path(kind, key), sums=True):
            self._upload(kind, key, replace=False)
        else:
            shutil.rmtree(self.path(kind, key), ignore_errors=True)
        return good

    def fetch(self, kind: str, key: str) -> Path:
        """Return the local folder of an artefact with all its files; those of a remote store are copied here once.

        Their sums are compared when this process first asks for it. What is damaged is set aside, so that it can be made again.

        Raises:
            FileNotFoundError: the artefact does not exist, or, as DamagedArtefact, is damaged.
        """
        folder = self.path(kind, key)
        if self.is_remote:
            self._download(kind, key)
            if integrity.damage(folder):  # perhaps only the copy is
                shutil.rmtree(folder, ignore_errors=True)
                self._download(kind, key)
        if not folder.exists():
            raise FileNotFoundError(self._absent(kind, key))
        if told := integrity.damage(folder):
            raise self._set_aside(kind, key, told)
        return folder

    def intact(self, kind: str, key: str) -> bool:
        """Return whether the artefact is there and undamaged, comparing sums as `fetch` does; what is damaged is set aside.

        Nothing of a remote store is copied for it: there it is `has`, and sums are compared by `fetch`.
        """
        if self.is_remote:
            return self.has(kind, key)
        with suppress(FileNotFoundError):
            return self.fetch(kind, key).is_dir()
        return False

    def damage(self, kind: str, key: str) -> str:
        """Return what is wrong with an artefact, in a few words, or nothing; all its files are read, and none is changed.

        Raises:
            FileNotFoundError: it does not exist.
        """
        folder = self.path(kind, key)
        if self.is_remote:
            self._download(kind, key)
        if not folder.exists():
            raise FileNotFoundError(self._absent(kind, key))
        return integrity.flaw(folder, sums=True)

    def _set_aside(self, kind: str, key: str, told: str) -> DamagedArtefact:
        """Set a damaged artefact aside, say so, and return the error to raise."""
        aside = integrity.set_aside(self.path(kind, key))
        if self.is_remote:
            with suppress(RemoteError):
                self._remote.withdraw(kind, key)
        where = f"it was moved aside to {aside}" if aside else "it could not be moved aside: the store is not writable"
        line = f"artefact {kind}/{key} in store {self.uri} is damaged: {told}; {where}"
        self.damaged.append(line)
        _LOG.warning(line)
        return DamagedArtefact(kind, key, line)

    def _absent(self, kind: str, key: str) -> str:
        return f"no artefact {kind}/{key} in store {self.uri}"

    def _is_whole(self, kind: str, key: str) -> bool:
        """Return whether the folder here has every file at its full size; a link is no file."""
        return not integrity.flaw(self.path(kind, key), sums=False)

    def manifest(self, kind: str, key: str) -> dict[str, Any]:
        """Return the manifest of an artefact; of a remote store it alone is read.

        Raises:
            FileNotFoundError: the artefact does not exist, or, as DamagedArtefact, is damaged as far as `has` sees it.
        """
        if self.is_remote:
            manifest = parse_manifest(self._remote.manifest_text(kind, key) or "")
            if manifest is not None and is_edited(manifest):
                raise self._set_aside(kind, key, f"{MANIFEST} was changed after it was written")
        else:
            manifest = read_manifest(self.path(kind, key)) if self._is_whole(kind, key) else None
            if manifest is None and self.path(kind, key).exists():
                raise DamagedArtefact(kind, key, f"{self._absent(kind, key)} that is undamaged")
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
        for path in sorted(paths, key=written_ns, reverse=True):
            manifest = read_manifest(path.parent)
            if manifest is not None:
                yield manifest

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
            manifest = sealed({**fields, "kind": kind, "key": key, "files": files})
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
            written = integrity.state_of(folder)
            if not (replace or self.is_remote):
                self.intact(kind, key)  # what is there and damaged is set aside, not removed
            self._publish(folder, kind, key, lambda: not replace and self._is_whole(kind, key))
            integrity.note_sound(self.path(kind, key), written)
        if self.is_remote:
            self._upload(kind, key, replace=replace)

    @contextmanager
    def _temporary(self, kind: str, key: str) -> Iterator[Path]:
        self.make_cache()
        parent = below(self.folder, kind)
        parent.mkdir(parents=True, exist_ok=True)
        folder = temporary.make_folder(parent, key)
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
                aside = final.with_name(temporary.replaced_name(key))
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
        """Remove temporary folders that killed runs left: at once those of this machine, others when a week has passed."""
        temporary.sweep(self.folder)

    def scratch(self, key: str) -> Path:
        """Return the folder for the checkpoints of a job in progress; removed when the job is done."""
        return below(self.folder, f"partial/{plain_name(key)}")

    def _upload(self, kind: str, key: str, *, replace: bool) -> None:
        """Copy an artefact to the remote, the manifest last; one that another machine put there first stays."""
        manifest = read_manifest(self.path(kind, key))
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
