"""Real images as VAE posteriors, encoded once: what a fine-tuning step would otherwise compute anew each time.

In: the moments of every image, and of its mirror image where training flips. Out: latent samples per step, equal to
what encoding at that step with the same draws would give. Encoding eight images costs 30 small DiT steps on a CPU.

Shapes: N images, F flips (1 or 2), B batch, C latent channels, h = w latent side.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

Report = Callable[[str, int, int, str], None]
"""Takes a stage, how much is done, how much there is, and the unit."""


class Images(Protocol):
    """A tensor [N, 3, S, S] uint8, or anything that is sliced like one."""

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
        report: Report = lambda *_: None,
        batch_size: int = 64,
        file: Path | None = None,
    ) -> LatentCache:
        """Encode all images once.

        Args:
            encode_moments: uint8 images [B, 3, S, S] to mean and standard deviation, each [B, C, h, w].
            images: the real images.
            labels: [N] the generator's labels.
            flips: also encode mirror images, for training with random flips. False for digits and letters.
            report: told the number of images encoded.
            batch_size: images per call of the encoder.
            file: where the moments are kept, memory-mapped (`.npy`), for data larger than memory; None: in memory.
        """
        moments: Tensor | None = None
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            for flip in range(1 + flips):
                mean, std = encode_moments(batch.flip(-1) if flip else batch)
                if moments is None:
                    moments = _allocate((2, 1 + flips, len(images), *mean.shape[1:]), file)
                moments[0, flip, start : start + len(batch)] = mean.cpu()
                moments[1, flip, start : start + len(batch)] = std.cpu()
            report("encode", start + len(batch), len(images), "image")
        assert moments is not None, "no images to encode"
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


def _allocate(shape: tuple[int, ...], file: Path | None) -> Tensor:
    """Return an empty float32 tensor, in memory or backed by a `.npy` file."""
    if file is None:
        return torch.empty(shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    return torch.from_numpy(np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape))
