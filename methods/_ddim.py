"""DDIM between noise levels, up (inversion) and down (sampling), as D3HR's code does it: golden/methods/d3hr.json.

Legend: B batch, C h w latent channels, height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness import ClassConditionalGenerator, ClassInfo

if TYPE_CHECKING:
    from torch import Tensor

TIMESTEPS = 1000
"""Of the full process."""

Predict = Callable[["Tensor", int], "Tensor"]
"""Noisy latents [B, C, h, w] and a timestep of the full process to the noise in them [B, C, h, w]."""


def nearest(timestep: int, steps: int) -> int:
    """Return the step of a grid of `steps` steps that is nearest to a timestep."""
    return min(round(timestep / (TIMESTEPS // steps)), steps - 1)


class Ddim:
    """Deterministic steps in both directions between timesteps 0, s, 2 s, ... with s = 1000 // steps: golden/methods/d3hr.json.

    Args:
        alphas_cumprod: [1000] share of the signal's variance at every timestep.
        steps: of the whole grid.
    """

    def __init__(self, alphas_cumprod: Sequence[float], steps: int) -> None:
        self.alphas_cumprod = alphas_cumprod
        self.stride = TIMESTEPS // steps

    def noise_share(self, step: int) -> float:
        """Return the variance of the noise at a step of the grid."""
        return 1 - float(self.alphas_cumprod[step * self.stride])

    def invert(self, predict: Predict, x_BChw: Tensor, level: int) -> Tensor:
        """Return the noisy latents at step `level` of clean ones; the noise is that of the upper timestep at each step."""
        for step in range(1, level + 1):
            timestep = step * self.stride
            x_BChw = self._move(x_BChw, predict(x_BChw, timestep), timestep - self.stride, timestep)
        return x_BChw

    def sample(self, predict: Predict, x_BChw: Tensor, start: int) -> Tensor:
        """Return the clean latents of noisy ones, taken to be at step `start`; the last two steps end at timestep 1."""
        for step in range(start, -1, -1):
            timestep = step * self.stride
            x_BChw = self._move(x_BChw, predict(x_BChw, timestep), timestep, max(1, timestep - self.stride))
        return x_BChw

    def _move(self, x_BChw: Tensor, noise_BChw: Tensor, here: int, there: int) -> Tensor:
        """Take latents from one timestep's noise level to another's, either way."""
        a_here, a_there = float(self.alphas_cumprod[here]), float(self.alphas_cumprod[there])
        x0_BChw = (x_BChw - (1 - a_here) ** 0.5 * noise_BChw) / a_here**0.5
        return a_there**0.5 * x0_BChw + (1 - a_there) ** 0.5 * noise_BChw


def noise_of(generator: ClassConditionalGenerator, c: ClassInfo, guidance: float) -> Predict:
    """Return the network's noise of a class, all of its channels guided, without gradients."""
    import torch

    label = generator.label_of(c.id)

    @torch.no_grad()
    def predict(x_BChw: Tensor, timestep: int) -> Tensor:
        t_B, labels_B = (torch.full((len(x_BChw),), value, device=x_BChw.device) for value in (timestep, label))
        return generator.predict_noise(x_BChw, t_B, labels_B, guidance=guidance, guided_channels=x_BChw.shape[1])

    return predict
