"""The autoencoder between images and latents: diffusers' AutoencoderKL with the conventions that a DiT expects.

In: uint8 images [B, 3, S, S]; out: latent moments [B, C, h, w] in units of the denoiser, and back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Vae = Any
"""diffusers' `AutoencoderKL`; its base classes are loaded lazily, so that a type checker sees no methods."""


class Autoencoder:
    """A frozen VAE.

    Args:
        vae: diffusers' AutoencoderKL; its config's scaling (and shift) factor turns its latents into the denoiser's.
    """

    def __init__(self, vae: Vae) -> None:
        self.vae = vae.eval().requires_grad_(False)
        self.scale = float(vae.config.scaling_factor)
        self.shift = float(vae.config.get("shift_factor") or 0.0)

    def to(self, device: torch.device) -> Autoencoder:
        """Move the weights; returns self."""
        self.vae.to(device)
        return self

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return int(self.vae.config.latent_channels)

    @property
    def downscale(self) -> int:
        """Image pixels per latent pixel, along a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def encode_moments(self, images_B3SS: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation [B, C, h, w] of the latents of uint8 images [B, 3, S, S], scaled."""
        assert images_B3SS.dtype == torch.uint8
        pixels = images_B3SS.to(self.vae.device, self.vae.dtype) / 127.5 - 1.0
        posterior = self.vae.encode(pixels).latent_dist
        return (posterior.mean.float() - self.shift) * self.scale, posterior.std.float() * self.scale

    @torch.no_grad()
    def decode(self, latents_BChw: Tensor, *, batch_size: int = 64) -> Tensor:
        """Return uint8 images [B, 3, S, S], on the CPU, of latents in units of the denoiser."""
        images = []
        for latents in latents_BChw.split(batch_size):
            raw = latents.to(self.vae.device, self.vae.dtype) / self.scale + self.shift
            pixels = self.vae.decode(raw).sample.float()
            images.append(((pixels + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu())
        return torch.cat(images)
