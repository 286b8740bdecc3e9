"""What lies in one folder of images: names and sizes, held compactly, and kept on disk where there are very many.

In: a folder. Out: a `ClassFolder`. ImageNet has 1.28 million training images: asking the file system for each can take
minutes on a network disk, and as Python objects they would take over 100 MB in every process. Here a listing is two
blocks of bytes per folder (about 30 bytes an image), and the listings of a large tree are kept in the user's cache folder, never
below the data root, which may be read-only.

A kept listing is used while the folder's modification time is unchanged (adding, removing and renaming change it) and a
few of its files, spread over the folder, have the sizes that it says. What this cannot see is a single file that was
overwritten in place; `harness data check` therefore lists everything anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

KEEP_FROM = 20_000
"""Files of a split from which its listings are kept on disk; fewer are listed again in a second or two."""


_FORMAT = "harness listing 1"


_NUM_SAMPLED = 4


_FRESH_NS = 2 * 10**9


@dataclass(frozen=True, eq=False)
class ClassFolder:
    """What one class folder holds.

    Attributes:
        packed: names of image files in byte order, as the file system's bytes, separated by NUL.
        sizes: their sizes in bytes; -1 for a broken symbolic link.
        num_ignored: other entries: hidden files, other endings, folders.
    """

    packed: bytes
    sizes: array[int]
    num_ignored: int

    @classmethod
    def of(cls, found: Sequence[tuple[bytes, int]], num_ignored: int) -> ClassFolder:
        """Pack (name, size) pairs, in any order."""
        ordered = sorted(found)
        return cls(b"\0".join(name for name, _ in ordered), array("q", (size for _, size in ordered)), num_ignored)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def raw_names(self) -> list[bytes]:
        """Names as the file system's bytes."""
        return self.packed.split(b"\0") if self.sizes else []

    @property
    def names(self) -> list[str]:
        """Names in byte order; made at each call, for one class at a time."""
        return [os.fsdecode(name) for name in self.raw_names]


def list_folder(path: Path, extensions: tuple[str, ...]) -> ClassFolder:
    """List the images of a folder; links are followed.

    Args:
        path: the folder.
        extensions: lower-case endings that count as images.

    Raises:
        OSError: it does not exist or cannot be read.
    """
    found, num_ignored = [], 0
    with os.scandir(path) as entries:
        for entry in entries:
            is_image = entry.name.lower().endswith(extensions) and not entry.name.startswith(".")
            if not is_image or entry.is_dir():
                num_ignored += 1
            else:
                found.append((os.fsencode(entry.name), _size(entry)))
    return ClassFolder.of(found, num_ignored)


def cache_folder() -> Path:
    """Return where listings are kept: $HARNESS_CACHE, else `harness` below $XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("HARNESS_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness"


class KeptListings:
    """Listings of the folders below one folder, on disk, one file each: written whole or not at all, safe to share.

    Args:
        root: the folder whose subfolders are listed.
        extensions: lower-case endings that count as images.
    """

    def __init__(self, root: Path, extensions: tuple[str, ...]) -> None:
        about = json.dumps([os.path.realpath(root), sorted(extensions)])
        self._root = root
        self._home = cache_folder() / "listings" / hashlib.sha256(about.encode()).hexdigest()[:24]

    def load(self, name: str) -> ClassFolder | None:
        """Return the kept listing of a subfolder, or None where there is none that still holds."""
        path = self._root / name
        try:
            mtime = path.stat().st_mtime_ns
            head, body = (self._home / _file_name(name)).read_bytes().split(b"\n", 1)
            about = json.loads(head)
            if about["format"] != _FORMAT or about["mtime_ns"] != mtime or len(body) != about["bytes"]:
                return None
            sizes = array("q")
            sizes.frombytes(body[: 8 * about["num"]])
            kept = ClassFolder(body[8 * about["num"] :], sizes, about["num_ignored"])
            return kept if kept.packed.count(b"\0") == max(0, len(kept) - 1) and _holds(kept, path) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not kept, or damaged: it is listed anew

    def save(self, name: str, folder: ClassFolder, mtime_ns: int) -> None:
        """Keep a listing; where the cache folder cannot be written, nothing is kept and nothing is lost.

        Nor is it kept while the folder is fresh: a file added within the same tick of the clock would go unseen.

        Args:
            name: subfolder.
            folder: its listing.
            mtime_ns: the subfolder's modification time before it was listed.
        """
        if time.time_ns() - mtime_ns < _FRESH_NS:
            return
        body = folder.sizes.tobytes() + folder.packed
        about = {
            "format": _FORMAT,
            "mtime_ns": mtime_ns,
            "num": len(folder),
            "num_ignored": folder.num_ignored,
            "bytes": len(body),
        }
        with contextlib.suppress(OSError):
            self._home.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._home, prefix=".writing-")
            with os.fdopen(handle, "wb") as file:
                file.write(json.dumps(about).encode() + b"\n" + body)
            os.replace(temporary, self._home / _file_name(name))


def list_many(
    root: Path, names: Sequence[str], extensions: tuple[str, ...], done: Callable[[int], None] | None = None
) -> dict[str, tuple[ClassFolder | OSError, int]]:
    """List several subfolders at once; a network disk answers many questions in the time of one.

    Args:
        root: the folder above.
        names: subfolders.
        extensions: lower-case endings that count as images.
        done: told the number of images of every folder, as it ends.

    Returns:
        Per name, the listing or why there is none, and the folder's modification time before it was listed.
    """
    from concurrent.futures import ThreadPoolExecutor

    def one(name: str) -> tuple[ClassFolder | OSError, int]:
        try:
            mtime = (root / name).stat().st_mtime_ns
            return list_folder(root / name, extensions), mtime
        except OSError as error:
            return error, 0

    found = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        for name, answer in zip(names, pool.map(one, names), strict=True):
            found[name] = answer
            if done and isinstance(answer[0], ClassFolder):
                done(len(answer[0]))
    return found


def _holds(kept: ClassFolder, path: Path) -> bool:
    """Return whether a few files, spread over the folder, have the sizes that a kept listing says."""
    names, step = kept.raw_names, max(1, len(kept) // _NUM_SAMPLED)
    return all(
        _path_size(os.path.join(os.fsencode(path), names[i])) == kept.sizes[i] for i in range(0, len(kept), step)
    )


def _file_name(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:24]


def _path_size(path: bytes) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:
        return -1
