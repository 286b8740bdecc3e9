"""Splits that do not fit in memory: decoded once, into one file of uint8 images that many trainings read.

In: a split, a side, a crop. Out: a .npy file [N, K, S, S] in the user's cache folder, whole or not there. It is written
beside its place, in order; a decode that was killed goes on where it stopped. Shapes: N images, K channels, S side in pixels.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress
from harness.core.text import byte_size
from harness.data.sources.listing import cache_folder
from harness.data.split import Crop, Split

if TYPE_CHECKING:
    import torch

CHUNK_BYTES = 16 * 2**20
"""Images decoded at once; a few such chunks are the memory that decoding takes."""


_NUM_COMPARED = 4
"""Images of a finished file that are decoded again and compared, before it is used."""


@dataclass(frozen=True)
class DecodedFile:
    """The decoded images of a split, in a file that is there or is to be made.

    Attributes:
        path: the file.
        split: whose images they are, in the order of `Split.tensors`.
        size: side, pixels.
        crop: how an image becomes a square.
    """

    path: Path
    split: Split
    size: int
    crop: Crop

    @classmethod
    def of(cls, split: Split, name: str, fingerprint: str, *, size: int, crop: Crop) -> DecodedFile:
        """Return where the images of the split `name` ("train", "test") of data with this fingerprint lie."""
        from PIL import __version__ as pillow  # another one may decode to other bits

        content = [1, pillow, fingerprint, name, size, crop, *(["grey"] if split.channels == 1 else [])]
        about = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]
        return cls(cache_folder() / "decoded" / f"{name}-{size}-{crop}-{about}.npy", split, size, crop)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, K, S, S)."""
        return len(self.split), self.split.channels, self.size, self.size

    @property
    def row_bytes(self) -> int:
        """Bytes of one image."""
        return self.split.channels * self.size**2

    @property
    def num_bytes(self) -> int:
        """Size of the whole file."""
        return len(self.header) + self.shape[0] * self.row_bytes

    @property
    def header(self) -> bytes:
        """What the file begins with."""
        from numpy.lib import format as npy

        text = io.BytesIO()
        npy.write_array_header_1_0(text, {"descr": "|u1", "fortran_order": False, "shape": self.shape})
        return text.getvalue()

    def is_here(self) -> bool:
        """Return whether there is a file of the right size."""
        return _size(self.path) == self.num_bytes

    def missing_bytes(self) -> int:
        """Return the bytes that are still to be written, those of a decode that was killed not counted again."""
        if self.is_here():
            return 0
        return self.num_bytes - max((_size(part) for part in self._parts()), default=0)

    def make(self, report: ProgressCallback = no_progress) -> None:
        """Decode the split, unless that is done; of several processes at once, one decodes and the others wait.

        Where the file system has no locks, or machines do not see each other's, each decodes into a file of its own.

        Raises:
            UserError: images cannot be read, or the file cannot be written; says where, and how much room is needed.
        """
        if self._is_ours():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(self.path.with_suffix(".lock"), lambda: self._wait(report)) as locked:
                if not self._is_ours():
                    self._decode(locked, report)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise self._no_room() from None
            raise UserError(
                f"decoded images cannot be written to {self.path.parent}: {error.strerror or error}. Set "
                "HARNESS_CACHE to another folder."
            ) from None

    def _is_ours(self) -> bool:
        """Return whether the file is there, with the images of the split: some are compared with the originals."""
        if not self.is_here():
            return False
        import numpy as np

        kept = np.load(self.path, mmap_mode="r")
        rows = sorted({i * (len(self.split) - 1) // (_NUM_COMPARED - 1) for i in range(_NUM_COMPARED)})
        return all(np.array_equal(kept[i : i + 1], self._read(i, i + 1).numpy()) for i in rows)

    def _read(self, start: int, stop: int) -> torch.Tensor:
        return self.split.rows(start, stop, size=self.size, crop=self.crop)

    def _parts(self) -> list[Path]:
        return list(self.path.parent.glob(f"{self.path.stem}.*.part"))

    def _wait(self, report: ProgressCallback) -> None:
        done = max((_size(part) for part in self._parts()), default=0) // self.row_bytes
        report("decoding elsewhere", done, len(self.split), "image")
        time.sleep(0.2)

    def _decode(self, locked: bool, report: ProgressCallback) -> None:
        own = socket.gethostname() if locked else f"{socket.gethostname()}.{os.getpid()}"
        part = self.path.with_name(f"{self.path.stem}.{own}.part")
        if shutil.disk_usage(part.parent).free < self.num_bytes - max(0, _size(part)):
            raise self._no_room()
        with part.open("r+b" if part.exists() else "w+b") as file:
            self._fill(file, _size(part), report)
        part.replace(self.path)
        for left in self._parts():  # of other machines
            left.unlink(missing_ok=True)

    def _fill(self, file: IO[bytes], written: int, report: ProgressCallback) -> None:
        """Write the images that the file lacks; a chunk is written while the next one is decoded."""
        chunk, num = max(1, CHUNK_BYTES // self.row_bytes), len(self.split)
        done = max(
            0, (written - len(self.header)) // self.row_bytes - chunk
        )  # the last one may not have reached the disk
        file.write(self.header)
        file.truncate(len(self.header) + done * self.row_bytes)
        file.seek(0, os.SEEK_END)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-images") as writer:
            pending: Future[None] | None = None
            for start in range(done, num, chunk):
                images = self._read(start, min(start + chunk, num))
                if pending is not None:
                    pending.result()
                pending = writer.submit(_append, file, images)
                report("decoding", start + len(images), num, "image")
            if pending is not None:
                pending.result()

    def _no_room(self) -> UserError:
        free = shutil.disk_usage(self.path.parent).free
        return UserError(
            f"{self.path.parent}: {len(self.split):,} decoded images of {self.size} pixels take "
            f"{byte_size(self.num_bytes)}, but only {byte_size(free)} are free. Free some space, or set HARNESS_CACHE "
            "to another folder."
        )


def _append(file: IO[bytes], images: torch.Tensor) -> None:
    file.write(images.numpy().data)
    file.flush()
    os.fsync(file.fileno())


def _size(path: Path) -> int:
    """Return the size of a file, bytes; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def _alone(path: Path, wait: Callable[[], None]) -> Iterator[bool]:
    """Hold a lock, which ends with the process; `wait` is called as long as another has it. Yields False: no locks here."""
    import fcntl

    with path.open("ab") as file:
        locked = False
        while not locked:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
            except BlockingIOError:
                wait()
            except OSError:
                break
        yield locked
