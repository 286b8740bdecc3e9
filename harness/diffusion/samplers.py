"""Draw latents from a DiT: ancestral DDPM (the papers' sampler), DDIM or DPM-Solver++.

In: a network, one label and one seed per image. Out: latents. Each image has its own noise stream on the CPU, so it
depends on its seed and label only: not on the batch, the order or the device that it is drawn in (but for rounding).

Shapes: B images, C latent channels, H = W latent side.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import UserError, did_you_mean
from harness.core.plugin.denoising import DenoisingStep, Guide
from harness.core.progress import ProgressCallback, no_progress
from harness.diffusion.adaptive_batches import Batches
from harness.diffusion.dit import DiT, DiTConfig, guided_output
from harness.diffusion.process import BETA_END, BETA_START, NUM_TIMESTEPS, GaussianDiffusion

SAMPLERS = ("ddpm", "ddim", "dpmsolver++")

LIVE_VALUES = 12
"""Float32 values per token and width at the peak of a block: the residual, its norm and the MLP's two hidden tensors."""

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""Latents [B, C, H, W] and timesteps [B] of the full process to [B, 2C, H, W]: (guided) noise and variance."""


def sample_latents(
    model: DiT,
    labels_B: Tensor,
    seeds_B: Sequence[int],
    *,
    steps: int,
    guidance: float,
    sampler: str = "ddpm",
    guided_channels: int = 3,
    batch_size: int = 64,
    device: torch.device,
    guide: Guide | None = None,
    report: ProgressCallback = no_progress,
    batches: Batches | None = None,
) -> Tensor:
    """Sample one latent per label.

    Args:
        model: on `device`.
        labels_B: class labels of the network.
        seeds_B: one seed per image; equal seed and label give an equal image.
        steps: denoising steps, 2 to 1000.
        guidance: classifier-free guidance scale; 1.0 skips the unconditional half and its time.
        sampler: one of `SAMPLERS`.
        guided_channels: noise channels under guidance, see `guided_output`.
        batch_size: images at a time, at most; changes time and memory, not the images.
        device: where the network runs.
        guide: may move the mean of each step; with the ddpm sampler only.
        report: told the images drawn.
        batches: remembers between calls how many fit the device.

    Returns:
        [B, C, H, W] float32 on `device`.

    Raises:
        UserError: the sampler is unknown or has no mean to guide, or the steps are out of range.
    """
    chain = _chain(sampler, steps, guided=guide is not None)
    assert len(labels_B) == len(seeds_B)
    config, total = model.config, len(labels_B)
    shape = (config.in_channels, config.input_size, config.input_size)

    @torch.no_grad()
    def draw(start: int, end: int) -> Tensor:
        labels = labels_B[start:end].to(device)

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            return guided_output(model, x, t, labels, guidance=guidance, guided_channels=guided_channels).float()

        latents = chain(denoise, NoiseStreams(seeds_B[start:end], shape, device), _of_images(guide, start))
        report("sample", end, total, "image")
        return latents

    each = bytes_per_latent(config) * (1 if guidance == 1.0 else 2)
    batches = batches or Batches()
    return torch.cat(list(batches.map("sampling", total, batch_size, draw, device=device, bytes_each=each)))


def bytes_per_latent(config: DiTConfig) -> int:
    """Return the estimated memory of one latent in a forward pass without gradients: DiT-XL/2 takes 13 MB (measured)."""
    return LIVE_VALUES * 4 * config.num_tokens * config.hidden_size


class NoiseStreams:
    """Standard normal noise [B, C, H, W], each image from a stream of its own; every call returns the next draw."""

    def __init__(self, seeds: Sequence[int], shape: tuple[int, int, int], device: torch.device) -> None:
        self._streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._shape = shape
        self._device = device

    def __call__(self) -> Tensor:
        return torch.stack([torch.randn(self._shape, generator=s) for s in self._streams]).to(self._device)


def ancestral_chain(
    denoise: Denoiser,
    x_BCHW: Tensor,
    process: GaussianDiffusion,
    noise: Callable[[], Tensor],
    guide: Guide | None = None,
) -> Tensor:
    """Run a whole ancestral DDPM chain.

    Args:
        denoise: the network.
        x_BCHW: noise to start from.
        process: a respaced process.
        noise: called once per step, noisiest first, except for the last step, which adds none.
        guide: may move the mean of each step.

    Returns:
        Clean latents [B, C, H, W].
    """
    for step in reversed(range(len(process.timesteps))):
        timestep = torch.full((len(x_BCHW),), process.timesteps[step], device=x_BCHW.device)
        output = denoise(x_BCHW, timestep)
        mean, log_variance, x0 = process.p_mean_variance(output, x_BCHW, torch.full_like(timestep, step))
        if guide is not None:
            images_B = torch.arange(len(x_BCHW), device=x_BCHW.device)
            mean = guide(DenoisingStep(step, process.timesteps[step], images_B, x_BCHW, x0, mean, log_variance))
        x_BCHW = mean if step == 0 else torch.addcmul(mean, (log_variance / 2).exp(), noise())
    return x_BCHW


def _of_images(guide: Guide | None, start: int) -> Guide | None:
    """Return a guide that is told the images of a batch which begins at image `start` of the call."""
    if guide is None:
        return None
    return lambda step: guide(replace(step, images_B=step.images_B + start))


def _chain(
    sampler: str, steps: int, *, guided: bool = False
) -> Callable[[Denoiser, NoiseStreams, Guide | None], Tensor]:
    """Return what runs a whole chain of that sampler.

    Raises:
        UserError: the sampler is unknown or has no mean to guide, or the steps are out of range.
    """
    if sampler not in SAMPLERS:
        raise UserError(
            f"unknown sampler {sampler!r}.{did_you_mean(sampler, list(SAMPLERS))} Known: {', '.join(SAMPLERS)}."
        )
    if not 2 <= steps <= NUM_TIMESTEPS:
        raise UserError(f"{steps} denoising steps: expected 2 to {NUM_TIMESTEPS}")
    if sampler == "ddpm":
        process = GaussianDiffusion.respaced(steps)
        return lambda denoise, noise, guide: ancestral_chain(denoise, noise(), process, noise, guide)
    if guided:
        raise UserError(
            f"sampler {sampler!r} does not support a guide, because its steps have no separate mean. Use ddpm."
        )
    return lambda denoise, noise, _: _scheduler_chain(denoise, noise(), _scheduler(sampler), steps)


def _scheduler_chain(denoise: Denoiser, x_BCHW: Tensor, scheduler: Any, steps: int) -> Tensor:
    """Run a deterministic diffusers scheduler; it reads the noise channels only."""
    with warnings.catch_warnings():
        # diffusers turns a tensor into an array in a way that numpy 2 deprecates.
        warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)
        scheduler.set_timesteps(steps, device=x_BCHW.device)
    for t in scheduler.timesteps:
        output = denoise(x_BCHW, t.expand(len(x_BCHW)))
        x_BCHW = scheduler.step(output[:, : x_BCHW.shape[1]], t, x_BCHW).prev_sample
    return x_BCHW


def _scheduler(sampler: str) -> Any:
    """Return a fresh scheduler of the training's process; both start at timestep 999, as the noise does.

    DDIM: "trailing", because diffusers' steps are 1000 // steps long, which no other spacing that starts at 999 matches.
    """
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    common = {
        "num_train_timesteps": NUM_TIMESTEPS,
        "beta_start": BETA_START,
        "beta_end": BETA_END,
        "beta_schedule": "linear",
    }
    if sampler == "ddim":
        return DDIMScheduler(**common, clip_sample=False, timestep_spacing="trailing")
    return DPMSolverMultistepScheduler(**common, algorithm_type="dpmsolver++", timestep_spacing="linspace")
