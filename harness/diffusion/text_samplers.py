"""The samplers of a text-to-image generator: diffusers' schedulers of the pipeline's own process, and where they begin.

In: a sampler's name, the pipeline's scheduler config, steps, strength. Out: a scheduler and the timesteps to run.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import UserError, did_you_mean

TEXT_SAMPLERS = ("ddim", "dpmsolver++", "ddpm", "pndm")


@dataclass(frozen=True)
class Schedule:
    """Which timesteps a run goes through, and how.

    Attributes:
        sampler: one of `TEXT_SAMPLERS`. `pndm` is the scheduler that Stable Diffusion 1.x ships: leading spacing with an
            offset of 1, no Runge-Kutta steps. The others begin at the last timestep (trailing spacing), as the noise does:
            at 50 steps and strength 0.7 ddim begins at 699, diffusers' DDIM with SD's leading spacing at 681, pndm at 701.
        config: the pipeline's scheduler config.
        steps: denoising steps of a whole run.
        strength: share of the steps to run, above 0 and up to 1: the first `steps - int(steps * strength)` timesteps are
            skipped, the product truncated in floating point (50 x 0.58 is 28), as in diffusers. pndm makes one call more
            than it has steps.

    Raises:
        UserError: the sampler is unknown or cannot run this process, steps or strength are out of range, or none is left.
    """

    sampler: str
    config: Mapping[str, Any]
    steps: int
    strength: float = 1.0

    def __post_init__(self) -> None:
        most = len(text_scheduler(self.sampler, self.config).alphas_cumprod)
        most -= self.sampler == "pndm"  # its offset would lead past the last timestep
        if not 1 <= self.steps <= most:
            raise UserError(f"{self.steps} denoising steps: expected 1 to {most}")
        if not 0 < self.strength <= 1:
            raise UserError(f"strength {self.strength}: expected above 0, and 1 at most")
        if not int(self.steps * self.strength):
            raise UserError(
                f"strength {self.strength} of {self.steps} steps leaves no steps; increase one of them, so that their "
                "product is at least 1"
            )

    def begin(self, device: torch.device) -> tuple[Any, Tensor]:
        """Return a fresh scheduler, and the timesteps that a run calls the network with."""
        scheduler = text_scheduler(self.sampler, self.config)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)  # of numpy, inside diffusers' timesteps
            scheduler.set_timesteps(self.steps, device=device)
        return scheduler, scheduler.timesteps[self.steps - int(self.steps * self.strength) :]


def with_noise(scheduler: Any, clean_BChw: Tensor, noise_BChw: Tensor, timestep: Tensor) -> Tensor:
    """Return clean latents with the noise of a timestep: sqrt(abar) * clean + sqrt(1 - abar) * noise."""
    abar = scheduler.alphas_cumprod[int(timestep)]
    return abar.sqrt() * clean_BChw + (1 - abar).sqrt() * noise_BChw


def text_scheduler(sampler: str, config: Mapping[str, Any]) -> Any:
    """Return a fresh scheduler of the pipeline's own process. Latents are never clipped, whatever the default.

    Raises:
        UserError: the sampler is unknown, or cannot run this process.
    """
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, PNDMScheduler

    if sampler not in TEXT_SAMPLERS:
        raise UserError(
            f"unknown sampler {sampler!r}.{did_you_mean(sampler, list(TEXT_SAMPLERS))} Known: {', '.join(TEXT_SAMPLERS)}."
        )
    options = _process_options(config)
    if sampler == "dpmsolver++":
        return DPMSolverMultistepScheduler(**options, algorithm_type="dpmsolver++", timestep_spacing="trailing")
    if sampler == "pndm":
        if options.pop("rescale_betas_zero_snr", False):
            raise UserError("sampler 'pndm' does not support betas that are rescaled to zero SNR; use ddim")
        return PNDMScheduler(**options, skip_prk_steps=True, steps_offset=1, timestep_spacing="leading")
    kind = DDIMScheduler if sampler == "ddim" else DDPMScheduler
    return kind(**options, clip_sample=False, timestep_spacing="trailing")


def _process_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a scheduler's config that define the process, whichever sampler runs it."""
    names = (
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "prediction_type",
        "rescale_betas_zero_snr",
    )
    return {name: config[name] for name in names if config.get(name) is not None}
