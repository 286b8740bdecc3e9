"""Real images as VAE posteriors, encoded once: what a fine-tuning step would otherwise compute anew each time.

In: the moments of every image, and of its mirror image where training flips. Out: latent samples per step, equal to
what encoding at that step with the same draws would give. Encoding eight images costs 30 small DiT steps on a CPU.

Shapes: N images, F flips (1 or 2), B batch, C latent channels, h = w latent side.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress


class Images(Protocol):
    """A tensor [N, K, S, S] uint8, or anything that is sliced like one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice) -> Tensor: ...


class LatentCache:
    """Posterior means and standard deviations of images, in units of the latents that the denoiser sees.

    Args:
        moments: [2, F, N, C, h, w] float32 on the CPU: means, standard deviations; second flip: of mirror images.
        labels: [N] the generator's labels.
    """

    def __init__(self, moments: Tensor, labels: Tensor) -> None:
        assert moments.ndim == 6
        assert (len(moments), moments.shape[2]) == (2, len(labels))
        self.moments = moments
        self.labels = labels

    @classmethod
    def encode(
        cls,
        encode_moments: Callable[[Tensor], tuple[Tensor, Tensor]],
        images: Images,
        labels: Tensor,
        *,
        flips: bool,
        report: ProgressCallback = no_progress,
        batch_size: int = 64,
        file: Path | None = None,
    ) -> LatentCache:
        """Encode all images once, or take the whole file that an earlier run of the same job left.

        Args:
            encode_moments: uint8 images [B, K, S, S] to mean and standard deviation, each [B, C, h, w].
            images: the real images.
            labels: [N] the generator's labels.
            flips: also encode mirror images, for training with random flips. False for digits and letters.
            report: told the number of images encoded.
            batch_size: images per call of the encoder.
            file: where the moments are kept, memory-mapped (`.npy`), for data larger than memory; None: in memory. If it
                exists, it must be of the same images, flips and encoder: name it by what it belongs to.

        Raises:
            UserError: the disk has no room for the file.
        """
        assert len(images), "no images to encode"
        if file is not None and file.is_file():
            return cls(_mapped(file), labels.cpu())
        moments, partial = torch.empty(0), None
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            for flip in range(1 + flips):
                mean, std = encode_moments(batch.flip(-1) if flip else batch)
                if not len(moments):
                    moments, partial = _allocate((2, 1 + flips, len(images), *mean.shape[1:]), file)
                moments[0, flip, start : start + len(batch)] = mean.cpu()
                moments[1, flip, start : start + len(batch)] = std.cpu()
            report("encode", start + len(batch), len(images), "image")
        if file is not None and partial is not None:
            _finish(partial, file)
        return cls(moments, labels.cpu())

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape of one latent (C, h, w)."""
        channels, height, width = self.moments.shape[3:]
        return channels, height, width

    def draw(self, indices: Tensor, rng: torch.Generator) -> Tensor:
        """Return one latent sample [B, C, h, w] of each image, flipped with probability 1/2 where flips are cached.

        Draws from `rng`: the flips (only where cached), then the posterior noise of the whole batch.
        """
        if self.moments.shape[1] == 2:
            flips = torch.randint(0, 2, (len(indices),), generator=rng)
        else:
            flips = torch.zeros(len(indices), dtype=torch.long)
        noise = torch.randn((len(indices), *self.latent_shape), generator=rng)
        return torch.addcmul(self.moments[0, flips, indices], self.moments[1, flips, indices], noise)


def _allocate(shape: tuple[int, ...], file: Path | None) -> tuple[Tensor, Path | None]:
    """Return an empty float32 tensor in memory; or one in a new file beside `file`, and that file."""
    if file is None:
        return torch.empty(shape), None
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{uuid.uuid4().hex}-{file.name}")
    array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
    try:
        _reserve(partial)
    except OSError as error:
        partial.unlink()
        raise UserError(
            f"{file.parent}: not enough disk space for {math.prod(shape) * 4 / 1e9:.1f} GB of latents "
            f"({error.strerror}); free some space, or set --store to a folder on a larger disk"
        ) from error
    return torch.from_numpy(array), partial


def _reserve(file: Path) -> None:
    """Take the file's blocks now: a mapped file with holes would kill the process when the disk is full.

    Raises:
        OSError: there is no room. A file system that cannot reserve is not asked again.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with file.open("r+b") as handle:
        try:
            os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def _finish(partial: Path, file: Path) -> None:
    """Give a whole file its name, after its content is on the disk: a killed run leaves no file of that name."""
    with partial.open("r+b") as handle:
        os.fsync(handle.fileno())
    # Another run of the same job may be done and have removed the folder; this process keeps its mapping.
    with contextlib.suppress(FileNotFoundError):
        partial.replace(file)


def _mapped(file: Path) -> Tensor:
    """Return a file's moments; writes would stay in this process ("c": copy on write), and nobody writes."""
    return torch.from_numpy(np.load(file, mmap_mode="c"))
