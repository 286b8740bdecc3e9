"""The autoencoder between images and latents: diffusers' AutoencoderKL with the conventions that a DiT expects.

In: uint8 images [B, K, S, S], K = 3 (RGB) or 1 (grey); out: latent moments [B, C, h, w] in units of the denoiser, and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import UserError
from harness.diffusion.adaptive_batches import Batches, Result

FULL_SIZE_TENSORS = 4
"""Live tensors of the second level's width and the image's size, at the peak of encoding or decoding: Stable Diffusion's
VAE needs 145 to 280 MB an image of 256 pixels in float32 (measured on a CPU), this estimate says 268."""

LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue, in 1/65536: ITU-R 601, rounded as in Pillow."""

Vae = Any
"""diffusers' `AutoencoderKL`; its base classes are loaded lazily, so that a type checker sees no methods."""


class Autoencoder:
    """A frozen VAE, in float32 whatever the precision of its denoiser: bfloat16 has steps of one grey level and more.

    Args:
        vae: diffusers' AutoencoderKL; its config's scaling (and shift) factor turns its latents into the denoiser's.
        channels: of the images that it is given and gives; None: the VAE's own. Here: a VAE for RGB serves grey images too,
            because no Stable Diffusion is grey: encoding repeats their channel, decoding gives the luma of the RGB image.

    Raises:
        UserError: RGB images for a VAE that knows grey ones only.
    """

    def __init__(self, vae: Vae, channels: int | None = None) -> None:
        check_channels("the VAE", int(vae.config.in_channels), channels)
        self.vae = vae.eval().requires_grad_(False)
        self.channels = channels or int(vae.config.in_channels)
        self.batches = Batches()
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
    def encode_moments(self, images_BKSS: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation [B, C, h, w] of the latents of uint8 images [B, K, S, S], scaled."""
        assert images_BKSS.dtype == torch.uint8
        assert images_BKSS.shape[1] == self.channels, f"{images_BKSS.shape[1]} channels, expected {self.channels}"

        def encode(start: int, end: int) -> tuple[Tensor, Tensor]:
            pixels = images_BKSS[start:end].to(self.vae.device, self.vae.dtype) / 127.5 - 1.0
            posterior = self.vae.encode(pixels.expand(-1, self.vae.config.in_channels, -1, -1)).latent_dist
            return (posterior.mean.float() - self.shift) * self.scale, posterior.std.float() * self.scale

        count, side = len(images_BKSS), images_BKSS.shape[-1]
        parts = list(self._map("encoding", count, count, encode, side))
        means, stds = zip(*parts, strict=True)
        return torch.cat(means), torch.cat(stds)

    @torch.no_grad()
    def decode(self, latents_BChw: Tensor, *, batch_size: int = 64) -> Tensor:
        """Return uint8 images [B, K, S, S], on the CPU, of latents in units of the denoiser."""

        def decode(start: int, end: int) -> Tensor:
            raw = latents_BChw[start:end].to(self.vae.device, self.vae.dtype) / self.scale + self.shift
            pixels = self.vae.decode(raw).sample.float()
            images = ((pixels + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
            return images if images.shape[1] == self.channels else luma(images)

        side = latents_BChw.shape[-1] * self.downscale
        return torch.cat(list(self._map("decoding", len(latents_BChw), batch_size, decode, side)))

    def _map(
        self, what: str, count: int, asked: int, work: Callable[[int, int], Result], side: int
    ) -> Iterator[Result]:
        channels = self.vae.config.block_out_channels
        bytes_each = FULL_SIZE_TENSORS * channels[min(1, len(channels) - 1)] * side**2 * self.vae.dtype.itemsize
        return self.batches.map(what, count, asked, work, device=self.vae.device, bytes_each=bytes_each)


def luma(images_B3SS: Tensor) -> Tensor:
    """Return the luma [B, 1, S, S] of uint8 RGB images, bit for bit as Pillow's `convert("L")`."""
    weighted = images_B3SS.int() * torch.tensor(LUMA, dtype=torch.int32).view(3, 1, 1)
    return ((weighted.sum(dim=1, keepdim=True, dtype=torch.int32) + 2**15) >> 16).to(torch.uint8)


def check_channels(where: str, own: int, wanted: int | None) -> None:
    """Refuse a VAE that cannot serve a suite's images.

    Args:
        where: what it is, for the message.
        own: channels of the images that it was trained on.
        wanted: channels of the suite's images; None: whatever it has.

    Raises:
        UserError: these differ, and it is not an RGB VAE for grey images.
    """
    if wanted is not None and own not in (3, wanted):
        raise UserError(
            f"{where} draws images with {own} channel, but the suite's have {wanted}: this generator draws only grey "
            "images. Use an RGB generator, or set `channels: 1` in the suite"
        )
