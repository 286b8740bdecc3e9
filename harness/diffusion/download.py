"""Fetch a model repository's files into the hub client's cache, with progress in megabytes.

In: a repository, a revision, patterns of file names. Out: the snapshot's folder. Only the files that are read are fetched:
of several formats of the same tensors one, safetensors where it exists. A download that was cut short goes on.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from harness.core import hub
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback

MB = 10**6

_OTHER_COPIES = ("*.fp16.*", "*non_ema*", "*.msgpack", "*.ckpt", "*.onnx*", "*.h5")
"""Copies of the same weights that a repository may also hold and nothing here reads."""


def fetch(repo: str, revision: str | None, files: Sequence[str], report: ProgressCallback | None = None) -> Path:
    """Download what is wanted and not yet in the cache.

    Args:
        repo: "owner/name".
        revision: commit, branch or tag; None: the main branch.
        files: patterns of wanted file names.
        report: told the megabytes that are here; None: the hub client draws its own bars.

    Raises:
        UserError: the hub must not be asked, does not answer, has no such repository, or the disk is too small.
    """
    if hub.offline():
        raise UserError(
            f"{repo}: not on this machine, and HF_HUB_OFFLINE disables downloads. {hub.download_instructions(repo)}"
        )
    from huggingface_hub import HfApi, snapshot_download

    endpoint, cache = os.environ.get("HF_ENDPOINT"), hub.hub_cache()
    try:
        info = HfApi(endpoint=endpoint).model_info(repo, revision=revision, files_metadata=True)
        sizes = {f.rfilename: f.size or 0 for f in info.siblings or ()}
        wanted = chosen(sizes, files)
        total = sum(sizes[name] for name in wanted)
        blobs = cache / f"models--{repo.replace('/', '--')}" / "blobs"
        _check_space(repo, cache, total - _size(blobs))
        with _progress(blobs, total, report):
            found = snapshot_download(
                repo, revision=info.sha, allow_patterns=wanted, cache_dir=cache, endpoint=endpoint
            )
    except UserError:
        raise
    except Exception as error:  # the hub client raises many kinds: no connection, not found, gated, disk full
        brief = str(error).strip().split("\n")[0]
        raise UserError(
            f"{repo}: not on this machine, and the download from the model hub failed ({type(error).__name__}: "
            f"{brief}). Check the spelling and the connection. {hub.download_instructions(repo)}"
        ) from error
    return Path(found)


def chosen(names: Mapping[str, int] | Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the names to fetch: those that match, without other copies, and no pickle beside a safetensors file."""
    matching = [n for n in names if any(fnmatch(n, p) for p in patterns)]
    kept = [n for n in matching if not any(fnmatch(n, p) for p in _OTHER_COPIES)]
    safe = {n.rpartition("/")[0] for n in kept if n.endswith(".safetensors")}
    return sorted(n for n in kept if not (n.endswith((".bin", ".pt")) and n.rpartition("/")[0] in safe))


def _check_space(repo: str, cache: Path, needed: int) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise UserError(
            f"{repo}: the download needs {needed / MB:,.0f} MB in {cache}, but only {free / MB:,.0f} MB are free. "
            "Free some space, or set HF_HOME to a folder on a larger disk."
        )


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.glob("*") if f.is_file()) if folder.is_dir() else 0


@contextmanager
def _progress(blobs: Path, total: int, report: ProgressCallback | None) -> Iterator[None]:
    """Tell once a second how much lies in the cache; the client's own bars would draw into the run's display."""
    if report is None:
        yield
        return
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    ended, hidden = threading.Event(), are_progress_bars_disabled()

    def watch() -> None:
        while not ended.wait(1.0):
            report("download", min(total, _size(blobs)) // MB, total // MB, "MB")

    watcher = threading.Thread(target=watch, daemon=True)
    disable_progress_bars()
    watcher.start()
    try:
        yield
        report("download", total // MB, total // MB, "MB")
    finally:
        ended.set()
        watcher.join()
        if not hidden:
            enable_progress_bars()
