"""Where files of pre-trained models are: folders that the user names, the hub's cache, else the hub; and hashes of their content.

Nothing here downloads, reads a tensor or loads torch.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from harness.core.errors import UserError
from harness.core.io import file_sha256
from harness.core.suites import SuiteFile

_HUB_ID = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(?:@(?P<revision>[\w.-]+))?")


def hub_id(place: str | Path) -> tuple[str, str | None] | None:
    """Return (repository, revision or None) of "owner/name" or "owner/name@revision"; None for anything else."""
    found = _HUB_ID.fullmatch(place) if isinstance(place, str) else None
    return (found["repo"], found["revision"]) if found else None


def hub_cache() -> Path:
    """Return the hub client's cache folder, by the environment variables that the client itself reads."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"]).expanduser()
    caches = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    return Path(os.environ.get("HF_HOME", caches / "huggingface")).expanduser() / "hub"


def cached_revision(repo: str, revision: str | None = None) -> str | None:
    """Return the commit that the cache holds of a repository's revision, or None.

    Without a revision: its main branch as the client noted it, else the snapshot that came last. What a run downloaded
    by its commit is so found again by every later run, connected or not.
    """
    folder = hub_cache() / f"models--{repo.replace('/', '--')}"
    snapshots = folder / "snapshots"
    if revision and (snapshots / revision).is_dir():
        return revision
    try:
        commit = (folder / "refs" / (revision or "main")).read_text(encoding="utf-8").strip()
        if (snapshots / commit).is_dir():
            return commit
    except OSError:
        pass
    if revision or not snapshots.is_dir():
        return None
    newest = max(snapshots.iterdir(), key=lambda p: p.stat().st_mtime, default=None)
    return newest.name if newest else None


def snapshot(repo: str, revision: str) -> Path:
    """Return where the cache keeps a commit of a repository."""
    return hub_cache() / f"models--{repo.replace('/', '--')}" / "snapshots" / revision


def offline() -> bool:
    """Return whether the user forbids asking the hub (HF_HUB_OFFLINE)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def candidates(name: str, file: SuiteFile, data_root: str, weights_root: str | None) -> Iterator[Path]:
    """Yield the places where `name` may lie, in order.

    Under `--weights-root` and DATA_ROOT/weights a hub id may stand as owner/name or as name alone; then come the data
    root, the suite's own folder and the working directory.
    """
    shelves = [Path(root) for root in (weights_root,) if root] + [Path(data_root) / "weights"]
    repo = hub_id(name)
    for shelf in shelves:
        yield shelf / name
        if repo is not None:
            yield shelf / repo[0]
            yield shelf / repo[0].split("/")[1]
    for folder in (Path(data_root), file.folder, Path()):
        yield folder / name


def find(name: str, file: SuiteFile, data_root: str, weights_root: str | None = None) -> Path | None:
    """Return the absolute path of a folder or file of that name, or None. The hub's cache is not searched."""
    found = next((p for p in candidates(name, file, data_root, weights_root) if p.exists()), None)
    return found.resolve() if found else None


def is_pinned(place: str) -> bool:
    """Return whether a located place is a hub id with its commit: the hub, or its cache, knows it."""
    parsed = hub_id(place)
    return parsed is not None and parsed[1] is not None


def newest_commit(repo: str, revision: str | None) -> str | None:
    """Ask the hub for a commit, five seconds at most; None where it cannot be asked."""
    if offline():
        return None
    from huggingface_hub import HfApi

    try:
        return HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(repo, revision=revision, timeout=5).sha
    except Exception:  # the prior job asks again and says what is wrong
        return None


def on_disk(place: str) -> Path | None:
    """Return the path of a located place if it is on this machine: the path itself, or the cached snapshot."""
    path = Path(place)
    if path.exists():
        return path
    parsed = hub_id(place)
    if parsed is None:
        return None
    commit = cached_revision(*parsed)
    return snapshot(parsed[0], commit) if commit else None


def check_root(weights_root: str | None) -> None:
    """Refuse a `--weights-root` that is no folder.

    Raises:
        UserError: it is none.
    """
    if weights_root is not None and not Path(weights_root).is_dir():
        raise UserError(
            f"--weights-root {weights_root!r}: folder not found; expected a folder with pretrained weights."
        )


def content_hash(places: Sequence[str | None], labels: Sequence[str]) -> str:
    """Hash located places, not where they are: names and contents of files; a hub id with its commit."""
    digest = hashlib.sha256("\n".join(labels).encode())
    for name in places:
        path = Path(name) if name else None
        if path is not None and path.exists():
            files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
            for file in files:
                stat = file.stat()
                content = _file_hash(str(file), stat.st_size, stat.st_mtime_ns)
                digest.update(f"{os.path.relpath(file, path)} {content}\n".encode())
        else:
            digest.update(f"{name}\n".encode())
    return digest.hexdigest()[:32]


@lru_cache(maxsize=256)
def _file_hash(path: str, size: int, mtime_ns: int) -> str:
    """Hash a file once while its size and time stay; the first tensors of two checkpoints may be equal."""
    return file_sha256(Path(path))


def download_instructions(repo: str) -> str:
    """Say how weights come to a machine that cannot ask the hub."""
    name = repo.split("/")[1]
    return (
        f"Download the repository on a machine with network access; then copy its folder as {repo} or {name} under "
        f"--weights-root (or DATA_ROOT/weights), or copy it into the hub's cache at {hub_cache()}."
    )
