"""Train a small class-conditional generator from scratch, where no published weights exist (the embedded suite).

In: the real training images, `PriorTraining`. Out: a diffusers `DiTPipeline` folder, read afterwards by the same code
that reads DiT-XL/2. The training uses the same process, losses, EMA and latent cache as fine-tuning does.

The null class has index 1000 and the class table 1001 rows, whatever the number of classes: diffusers' `DiTPipeline`
writes 1000 into its guidance. Its sampling of our folder differs slightly from ours: see `dit.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.core import seeds
from harness.core.config.generator import PriorTraining, VaeTraining
from harness.core.errors import UserError
from harness.core.progress import CurveCallback, ProgressCallback, no_curve, no_progress
from harness.diffusion.checkpoints import diffusers_config, to_diffusers
from harness.diffusion.dit import DiT, DiTConfig, build_dit
from harness.diffusion.ema import Ema
from harness.diffusion.latents import LatentCache
from harness.diffusion.loading import no_progress_bars
from harness.diffusion.process import BETA_END, BETA_START, NUM_TIMESTEPS, GaussianDiffusion
from harness.diffusion.vae import Autoencoder, Vae

NUM_LABELS = 1000
LATENT_CHANNELS = 4
LABEL_DROPOUT = 0.1
WARM_UP = 0.05
"""Share of the steps over which the learning rate rises linearly; then it falls as a cosine to 0."""
LOG_EVERY = 100


def train_class_conditional(
    images_u8: Tensor,
    labels: Tensor,
    *,
    spec: PriorTraining,
    class_names: list[str],
    out_folder: Path,
    device: torch.device | str,
    report: ProgressCallback = no_progress,
    log: CurveCallback = no_curve,
) -> dict[str, float]:
    """Train a VAE and a DiT, and save them as a diffusers `DiTPipeline` folder.

    Equal inputs give equal files on a CPU with equally many threads; the global random state is left as it was.

    Args:
        images_u8: [N, K, S, S] uint8 real training images, K = 3 or 1, which the VAE's channels follow; S is a multiple of
            what the VAE and the patches divide by.
        labels: [N] int64, 0 .. len(class_names) - 1.
        spec: sizes, steps, learning rates, seed.
        class_names: by label; saved as the pipeline's id2label.
        out_folder: where the pipeline is written.
        device: where the training runs.
        report: told the steps done, by stage.
        log: told the losses every 100 steps.

    Returns:
        Losses at the end (means over the last tenth of the steps), reconstruction error (mean squared, pixels in
        [-1, 1]) and scaling factor.

    Raises:
        UserError: the sizes do not fit each other, or there are more than 1000 classes.
    """
    _check(images_u8, spec, class_names)
    device = torch.device(device)
    with torch.random.fork_rng(devices=[]):
        # diffusers' modules start from the CPU's global stream; torch.manual_seed would seed the GPUs as well.
        torch.random.default_generator.manual_seed(seeds.derive("prior", spec.seed, "modules"))
        vae, metrics = train_vae(images_u8, spec, device, report, log)
        autoencoder = Autoencoder(vae)
        cache = LatentCache.encode(autoencoder.encode_moments, images_u8, labels, flips=False, report=report)
        config = DiTConfig(
            input_size=images_u8.shape[-1] // autoencoder.downscale,
            patch_size=spec.patch_size,
            in_channels=LATENT_CHANNELS,
            hidden_size=spec.hidden_size,
            depth=spec.depth,
            num_heads=spec.num_heads,
            num_classes=NUM_LABELS,
        )
        model, loss = _train_dit(cache, config, spec, device, report, log)
        save_pipeline(model, vae, class_names, out_folder)
    return {**metrics, "dit_loss": loss}


def save_pipeline(model: DiT, vae: Vae, class_names: list[str], folder: Path) -> None:
    """Write a folder that `DiTPipeline.from_pretrained` opens: transformer, VAE, DDPM scheduler, id2label."""
    from diffusers import DDPMScheduler, DiTPipeline, DiTTransformer2DModel

    with torch.device("meta"):
        transformer: Any = DiTTransformer2DModel(**diffusers_config(model.config))
    transformer.load_state_dict(to_diffusers(model.state_dict(), model.config.depth), assign=True)
    scheduler = DDPMScheduler(
        num_train_timesteps=NUM_TIMESTEPS,
        beta_start=BETA_START,
        beta_end=BETA_END,
        beta_schedule="linear",
        clip_sample=False,
        timestep_spacing="linspace",
    )
    pipeline: Any = DiTPipeline(transformer, vae, scheduler)
    # The constructor takes id2label but does not save it; a key of model_index.json is what it is read from.
    pipeline.register_to_config(id2label={str(label): name for label, name in enumerate(class_names)})
    with no_progress_bars():
        pipeline.save_pretrained(folder)


def _check(images: Tensor, spec: PriorTraining, class_names: list[str]) -> None:
    if len(class_names) > NUM_LABELS:
        raise UserError(
            f"{len(class_names)} classes: a prior trained here has at most {NUM_LABELS} (DiTPipeline's null label)"
        )
    spec.check_side(images.shape[-1])
    if spec.hidden_size % spec.num_heads or spec.hidden_size % 4:
        raise UserError(f"hidden_size {spec.hidden_size} must be a multiple of 4 and of num_heads {spec.num_heads}")


def train_vae(
    images_u8: Tensor, spec: VaeTraining, device: torch.device, report: ProgressCallback, log: CurveCallback
) -> tuple[Vae, dict[str, float]]:
    """Train the autoencoder on mean squared error and KL; its scaling factor gives latents of unit std."""
    vae = _new_vae(spec, images_u8.shape[-1], images_u8.shape[1]).to(device)
    rng = seeds.generator("prior", spec.seed, "vae")
    optimizer = adamw(vae.parameters(), spec.vae_lr)
    errors = []
    for step in range(spec.vae_steps):
        set_lr(optimizer, spec.vae_lr, step, spec.vae_steps)
        batch = torch.randint(0, len(images_u8), (spec.vae_batch,), generator=rng)
        pixels = _pixels(images_u8[batch], device)
        posterior = vae.encode(pixels).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=rng).to(device)
        error = F.mse_loss(vae.decode(posterior.mean + posterior.std * noise).sample, pixels)
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1.0 - posterior.logvar).mean()
        optimizer.zero_grad()
        (error + spec.kl_weight * kl).backward()
        optimizer.step()
        errors.append(error.detach())
        tell("vae", step, spec.vae_steps, report, log, vae_mse=errors[-1])
    vae.eval().requires_grad_(False)
    std = _latent_std(vae, images_u8, device)
    vae.register_to_config(scaling_factor=1.0 / std)
    return vae, {"vae_mse": tail_mean(errors), "scaling_factor": 1.0 / std}


def _new_vae(spec: VaeTraining, side: int, channels: int) -> Vae:
    from diffusers import AutoencoderKL

    levels = len(spec.vae_channels)
    return AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=spec.vae_channels,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=math.gcd(8, *spec.vae_channels),
        sample_size=side,
        mid_block_add_attention=False,
    )


@torch.no_grad()
def _latent_std(vae: Vae, images_u8: Tensor, device: torch.device) -> float:
    """Standard deviation of latent samples over all real images, channels and positions."""
    posteriors = [vae.encode(_pixels(batch, device)).latent_dist for batch in images_u8.split(256)]
    mean = torch.cat([p.mean for p in posteriors])
    within = torch.cat([p.var for p in posteriors]).mean()
    return float((mean.var() + within).sqrt())


def _train_dit(
    cache: LatentCache,
    config: DiTConfig,
    spec: PriorTraining,
    device: torch.device,
    report: ProgressCallback,
    log: CurveCallback,
) -> tuple[DiT, float]:
    """Train the denoiser on cached latents; returns the EMA weights and the loss at the end."""
    rng = seeds.generator("prior", spec.seed, "dit")
    model = build_dit(config, rng).to(device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer, ema, process = adamw(parameters, spec.dit_lr), Ema(parameters, spec.ema_decay), GaussianDiffusion()
    losses = []
    for step in range(spec.dit_steps):
        set_lr(optimizer, spec.dit_lr, step, spec.dit_steps)
        batch = torch.randint(0, len(cache), (spec.dit_batch,), generator=rng)
        x0, labels = cache.draw(batch, rng).to(device), cache.labels[batch].to(device)
        t = torch.randint(0, NUM_TIMESTEPS, (len(batch),), generator=rng).to(device)
        noise = torch.randn(x0.shape, generator=rng).to(device)
        drop = (torch.rand(len(batch), generator=rng) < LABEL_DROPOUT).to(device)
        loss = process.training_losses(model, x0, t, labels, noise, drop)[0].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema.update()
        losses.append(loss.detach())
        tell("dit", step, spec.dit_steps, report, log, dit_loss=losses[-1])
    ema.copy_to_parameters()
    return model.requires_grad_(False).eval(), tail_mean(losses)


def adamw(parameters: Iterable[Tensor], lr: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.99), weight_decay=0.0, fused=True)


def set_lr(optimizer: torch.optim.Optimizer, peak: float, step: int, total: int) -> None:
    """Linear warm-up, then a cosine to 0."""
    share = (step + 1) / total
    factor = share / WARM_UP if share < WARM_UP else 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))
    for group in optimizer.param_groups:
        group["lr"] = peak * factor


def _pixels(images_u8: Tensor, device: torch.device) -> Tensor:
    return images_u8.to(device).float() / 127.5 - 1.0


def tail_mean(values: list[Tensor]) -> float:
    """Mean over the last tenth."""
    return float(torch.stack(values[-max(1, len(values) // 10) :]).mean())


def tell(stage: str, step: int, total: int, report: ProgressCallback, log: CurveCallback, **values: Any) -> None:
    report(stage, step + 1, total, "step")
    if (step + 1) % LOG_EVERY == 0 or step + 1 == total:
        log(step + 1, **{name: float(value) for name, value in values.items()})
