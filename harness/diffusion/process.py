"""The Gaussian diffusion process: 1000 steps, linear betas 1e-4..0.02, noise prediction, learned variance range.

In: a network's output, latents, step numbers. Out: training losses, and the distribution of the previous step of a
respaced chain. It knows no sampler's chance: noise is passed in.

Shapes: B batch, C latent channels, H = W latent side.
Sources: Ho et al., Denoising Diffusion Probabilistic Models, 2020; Nichol and Dhariwal, Improved Denoising Diffusion
Probabilistic Models, 2021 (respacing, learned range, hybrid loss); golden/ddpm_respaced.json.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

NUM_TIMESTEPS = 1000
BETA_START = 1e-4
BETA_END = 0.02


class GaussianDiffusion:
    """Tables of a (respaced) diffusion process and what follows from them.

    Args:
        timesteps: which of the 1000 steps are kept, ascending; None: all of them, as in training.

    Attributes:
        timesteps: [S] the timestep of the full process, with which the network is called, of every kept step.
        betas, alphas_cumprod, ...: [S] float64 tables, index = kept step. They are rounded to float32 before use.
    """

    def __init__(self, timesteps: list[int] | None = None) -> None:
        self.timesteps = list(range(NUM_TIMESTEPS)) if timesteps is None else list(timesteps)
        full = np.cumprod(1.0 - np.linspace(BETA_START, BETA_END, NUM_TIMESTEPS, dtype=np.float64))
        alphas_cumprod = full[self.timesteps]
        previous = np.append(1.0, alphas_cumprod[:-1])
        betas = 1.0 - alphas_cumprod / previous
        posterior_variance = betas * (1.0 - previous) / (1.0 - alphas_cumprod)
        self.betas = betas
        self.alphas_cumprod = alphas_cumprod
        self.alphas_cumprod_prev = previous
        self.posterior_variance = posterior_variance
        # The posterior variance of step 0 is 0; its logarithm is that of step 1, as in the original.
        self.posterior_log_variance_clipped = np.log(np.append(posterior_variance[1], posterior_variance[1:]))
        self.posterior_mean_coef1 = betas * np.sqrt(previous) / (1.0 - alphas_cumprod)
        self.posterior_mean_coef2 = (1.0 - previous) * np.sqrt(1.0 - betas) / (1.0 - alphas_cumprod)
        self.sqrt_recip_alphas_cumprod = np.sqrt(1.0 / alphas_cumprod)
        self.sqrt_recipm1_alphas_cumprod = np.sqrt(1.0 / alphas_cumprod - 1.0)
        self._log_betas = np.log(betas)
        self._sqrt_alphas_cumprod = np.sqrt(alphas_cumprod)
        self._sqrt_one_minus_alphas_cumprod = np.sqrt(1.0 - alphas_cumprod)
        self._on_device: dict[tuple[str, torch.device], Tensor] = {}

    @classmethod
    def respaced(cls, num_steps: int) -> GaussianDiffusion:
        """Return the process that keeps `num_steps` steps, evenly spaced from 0 to 999.

        Raises:
            ValueError: fewer than 2 or more than 1000 steps.
        """
        if not 2 <= num_steps <= NUM_TIMESTEPS:
            raise ValueError(f"{num_steps} denoising steps: expected 2 to {NUM_TIMESTEPS}")
        stride, position, kept = (NUM_TIMESTEPS - 1) / (num_steps - 1), 0.0, []
        for _ in range(num_steps):
            kept.append(round(position))
            position += stride
        return cls(kept)

    def q_sample(self, x0_BCHW: Tensor, t_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        """Return the latents after `t_B` steps of noise."""
        return (
            self._at("_sqrt_alphas_cumprod", t_B) * x0_BCHW
            + self._at("_sqrt_one_minus_alphas_cumprod", t_B) * noise_BCHW
        )

    def predict_x0(self, x_BCHW: Tensor, step_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        """Return the clean latents that `noise_BCHW` implies; not clipped."""
        return (
            self._at("sqrt_recip_alphas_cumprod", step_B) * x_BCHW
            - self._at("sqrt_recipm1_alphas_cumprod", step_B) * noise_BCHW
        )

    def posterior_mean(self, x0_BCHW: Tensor, x_BCHW: Tensor, step_B: Tensor) -> Tensor:
        """Return the mean of q(x_{t-1} | x_t, x_0)."""
        return self._at("posterior_mean_coef1", step_B) * x0_BCHW + self._at("posterior_mean_coef2", step_B) * x_BCHW

    def p_mean_variance(self, output_B2CHW: Tensor, x_BCHW: Tensor, step_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean, log variance and predicted x0 of p(x_{t-1} | x_t), each [B, C, H, W].

        Args:
            output_B2CHW: what the network returned: noise, variance interpolation in [-1, 1] (not clipped).
            x_BCHW: latents at the kept step.
            step_B: indices of kept steps.
        """
        noise, interpolation = output_B2CHW.chunk(2, dim=1)
        x0 = self.predict_x0(x_BCHW, step_B, noise)
        low, high = self._at("posterior_log_variance_clipped", step_B), self._at("_log_betas", step_B)
        log_variance = torch.lerp(low.expand_as(x0), high.expand_as(x0), (interpolation + 1) / 2)
        return self.posterior_mean(x0, x_BCHW, step_B), log_variance, x0

    def training_losses(
        self,
        model: torch.nn.Module,
        x0_BCHW: Tensor,
        t_B: Tensor,
        labels_B: Tensor,
        noise_BCHW: Tensor,
        drop_B: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the hybrid loss of improved DDPM per sample, and the predicted clean latents.

        Args:
            model: called as model(x, t, labels, drop); returns [B, 2C, H, W].
            x0_BCHW: clean latents.
            t_B: timesteps, 0..999.
            labels_B: class labels.
            noise_BCHW: standard normal noise.
            drop_B: bool, labels replaced by the null class; None: none.

        Returns:
            loss [B]: mean squared error of the noise plus the variational term in bits per dimension. The latter
            trains the variance only (the mean is detached) and has weight num_timesteps / 1000, which is 1 here.
            pred_x0 [B, C, H, W], not clipped; both carry gradient.
        """
        x_BCHW = self.q_sample(x0_BCHW, t_B, noise_BCHW)
        output = model(x_BCHW, t_B, labels_B, drop_B).float()
        noise, interpolation = output.chunk(2, dim=1)
        mse_B = (noise_BCHW - noise).square().flatten(1).mean(1)
        frozen_mean = torch.cat([noise.detach(), interpolation], dim=1)
        bits_B = self._variational_bits(frozen_mean, x0_BCHW, x_BCHW, t_B)
        return mse_B + bits_B * (len(self.timesteps) / 1000), self.predict_x0(x_BCHW, t_B, noise)

    def _variational_bits(self, output: Tensor, x0: Tensor, x: Tensor, t_B: Tensor) -> Tensor:
        """One term of the variational bound [B], bits per dimension: a KL, or the decoder's likelihood at step 0."""
        mean, log_variance, _ = self.p_mean_variance(output, x, t_B)
        kl = gaussian_kl(
            self.posterior_mean(x0, x, t_B), self._at("posterior_log_variance_clipped", t_B), mean, log_variance
        )
        decoder = -discretised_log_likelihood(x0, mean, log_variance / 2)
        bits = torch.where((t_B == 0)[:, None, None, None], decoder, kl) / math.log(2.0)
        return bits.flatten(1).mean(1)

    def _at(self, table: str, index_B: Tensor) -> Tensor:
        """Return the table's float32 values at the indices, [B, 1, 1, 1]."""
        key = (table, index_B.device)
        if key not in self._on_device:
            self._on_device[key] = torch.from_numpy(getattr(self, table)).float().to(index_B.device)
        return self._on_device[key][index_B].view(-1, 1, 1, 1)


def gaussian_kl(mean_p: Tensor, log_variance_p: Tensor, mean_q: Tensor, log_variance_q: Tensor) -> Tensor:
    """Return KL(p || q) of Gaussians elementwise, in nats."""
    gap = log_variance_p - log_variance_q
    return 0.5 * (gap.exp() - 1.0 - gap + (mean_p - mean_q).square() * (-log_variance_q).exp())


def discretised_log_likelihood(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log-likelihood in nats of `x`, read as one of 256 levels in [-1, 1], under a Gaussian, elementwise.

    Latents are not such levels; the original applies the term to them all the same, and so do we.
    """
    inverse_std = (-log_std).exp()
    upper = _normal_cdf(inverse_std * (x - mean + 1 / 255))
    lower = _normal_cdf(inverse_std * (x - mean - 1 / 255))
    inside = torch.where(x < -0.999, upper, torch.where(x > 0.999, 1.0 - lower, upper - lower))
    return inside.clamp(min=1e-12).log()


def _normal_cdf(x: Tensor) -> Tensor:
    """The tanh approximation of the standard normal's distribution function, as the original uses."""
    return 0.5 * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
