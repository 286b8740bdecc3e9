"""Single steps of a class-conditional generator, for methods that guide its sampler or work on its latents.

Shapes: B latents, C h w of a latent, n images of a class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.core.classes import ClassInfo
from harness.core.progress import ProgressCallback

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class DenoisingStep:
    """One step of the ancestral sampler (ddpm), before its noise is added; a guided method may shift its mean.

    Attributes:
        index: index among the kept steps, counting down from `steps - 1` to 0.
        timestep: timestep of the full process (1000 steps) given to the network.
        images_B: indices of these images within the class, from 0.
        x_BChw: the latents before the step.
        x0_BChw: the clean latents that the (guided) network predicts; not clipped.
        mean_BChw: the mean of the next latents.
        log_variance_BChw: the logarithm of their variance.
    """

    index: int
    timestep: int
    images_B: Tensor
    x_BChw: Tensor
    x0_BChw: Tensor
    mean_BChw: Tensor
    log_variance_BChw: Tensor


Guide = Callable[[DenoisingStep], "Tensor"]
"""Returns the mean [B, C, h, w] that the sampler goes on with, in place of the step's own."""


class DiffusionProcess(Protocol):
    """Noise levels of the generator, by kept step: `process()` keeps all 1000, `process(50)` fifty of them."""

    timesteps: list[int]
    """Timestep of the full process, with which the network is called, of every kept step; ascending."""
    alphas_cumprod: Any
    """[steps] float64 array: share of the signal's variance at every kept step."""

    def q_sample(self, x0_BCHW: Tensor, t_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        """Return latents with the noise of the kept steps `t_B`."""

    def predict_x0(self, x_BCHW: Tensor, step_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        """Return the clean latents that a predicted noise implies; not clipped."""


class Denoising(Protocol):
    """What a class-conditional generator does besides drawing whole images."""

    def sample_latents(
        self,
        c: ClassInfo,
        n: int,
        *,
        steps: int,
        guidance: float,
        rng: torch.Generator,
        sampler: str = ...,
        batch_size: int = ...,
        guide: Guide | None = ...,
        report: ProgressCallback = ...,
    ) -> Tensor:
        """Return the latents [n, C, h, w] that `sample` would decode, on the device."""

    def predict_noise(
        self,
        x_BChw: Tensor,
        t_B: Tensor,
        labels_B: Tensor,
        *,
        guidance: float = ...,
        guided_channels: int = ...,
    ) -> Tensor:
        """Return the noise [B, C, h, w] that the network finds in noisy latents, differentiable in them.

        `t_B` are timesteps of the full process, `labels_B` the generator's own (`label_of`, `null_label`).
        """

    @property
    def null_label(self) -> int:
        """The label that stands for no class."""

    def process(self, steps: int | None = ...) -> DiffusionProcess:
        """Return the noise levels of all 1000 steps, or of `steps` evenly spaced ones, as ddpm takes them."""
