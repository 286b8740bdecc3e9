"""Train a small text-to-image generator from scratch, where no published weights exist (the embedded suite).

In: the real training images, a word per class, `TextPriorTraining`. Out: a diffusers `StableDiffusionPipeline` folder,
read afterwards by the same code that reads Stable Diffusion. Text encoder and UNet train together on captioned images.
Some captions say only what is true of every class ("a photo of a digit"), so that the word is known to the model as
one that leaves the class open: what textual inversion starts from.

Shapes: N images, B batch, L prompt length, S side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.core import seeds
from harness.core.config.generator import TextPriorTraining
from harness.core.errors import UserError
from harness.core.progress import CurveCallback, ProgressCallback, no_curve, no_progress
from harness.diffusion.ema import Ema
from harness.diffusion.latents import LatentCache
from harness.diffusion.loading import no_progress_bars
from harness.diffusion.prior import LATENT_CHANNELS, adamw, set_lr, tail_mean, tell, train_vae
from harness.diffusion.process import BETA_END, BETA_START, NUM_TIMESTEPS
from harness.diffusion.text_parts import TextParts
from harness.diffusion.text_to_image import TextToImageGenerator
from harness.diffusion.vae import Autoencoder
from harness.diffusion.word_tokenizer import word_tokenizer

MAX_GRAD_NORM = 1.0


def train_text_to_image(
    images_u8: Tensor,
    labels: Tensor,
    *,
    spec: TextPriorTraining,
    class_words: Sequence[str],
    out_folder: Path,
    device: torch.device | str,
    report: ProgressCallback = no_progress,
    log: CurveCallback = no_curve,
) -> dict[str, float]:
    """Train VAE, text encoder and UNet, and save them as a diffusers `StableDiffusionPipeline` folder.

    Equal inputs give equal files on a CPU with equally many threads; the global random state is left as it was.

    Args:
        images_u8: [N, K, S, S] uint8 real training images, K = 3 or 1, which the VAE's channels follow.
        labels: [N] int64, 0 .. len(class_words) - 1.
        spec: sizes, steps, learning rates, captions, seed.
        class_words: by label, the word or words that captions name the class by.
        out_folder: where the pipeline is written.
        device: where the training runs.
        report: told the steps done, by stage.
        log: told the losses every 100 steps.

    Returns:
        Losses at the end (means over the last tenth of the steps), the VAE's error and its scaling factor.

    Raises:
        UserError: the sizes or captions do not fit.
    """
    _check(images_u8, spec, class_words)
    device = torch.device(device)
    with torch.random.fork_rng(devices=[]):
        # diffusers' modules start from the CPU's global stream; torch.manual_seed would seed the GPUs as well.
        torch.random.default_generator.manual_seed(seeds.derive("prior", spec.seed, "modules"))
        vae, metrics = train_vae(images_u8, spec, device, report, log)
        autoencoder = Autoencoder(vae)
        cache = LatentCache.encode(autoencoder.encode_moments, images_u8, labels, flips=False, report=report)
        parts = _new_parts(spec, autoencoder, images_u8.shape[-1], class_words, device)
        loss = _train(parts, cache, spec, class_words, device, report, log)
        save_pipeline(parts, out_folder)
    return {**metrics, "unet_loss": loss}


def save_pipeline(parts: TextParts, folder: Path) -> None:
    """Write a folder that `StableDiffusionPipeline.from_pretrained` opens; it has no safety checker."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline(
        vae=parts.autoencoder.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=parts.unet,
        scheduler=DDIMScheduler(**parts.scheduler_config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with no_progress_bars():
        pipeline.save_pretrained(folder)


@dataclass(frozen=True)
class Captions:
    """Draws captions: a template with the class's word, or with the neutral word, or no text at all."""

    spec: TextPriorTraining
    class_words: Sequence[str]

    def draw(self, labels_B: Tensor, rng: torch.Generator) -> list[str]:
        """Return one caption per label."""
        spec = self.spec
        kinds = torch.rand(len(labels_B), generator=rng).tolist()
        chosen = torch.randint(0, len(spec.captions), (len(labels_B),), generator=rng).tolist()
        out = []
        for label, kind, number in zip(labels_B.tolist(), kinds, chosen, strict=True):
            neutral = kind < spec.empty_share + spec.neutral_share
            word = spec.neutral_word if neutral else self.class_words[label]
            out.append("" if kind < spec.empty_share else spec.captions[number].replace("{}", word))
        return out

    def words(self) -> list[str]:
        """Return every word that a caption may have."""
        texts = [*(c.replace("{}", " ") for c in self.spec.captions), *self.class_words, self.spec.neutral_word]
        return [word for text in texts for word in re.findall(r"[^\W\d_]+", text)]


def _check(images: Tensor, spec: TextPriorTraining, class_words: Sequence[str]) -> None:
    spec.check_side(images.shape[-1])
    if spec.text_width % 16:
        raise UserError(f"text_width {spec.text_width} must be a multiple of 16, for heads of 16")
    wrong = [c for c in spec.captions if "{}" not in c]
    if wrong:
        raise UserError(f"caption {wrong[0]!r} has no {{}} for the class's word")
    twice = sorted({w for w in class_words if list(class_words).count(w) > 1})
    if twice:
        raise UserError(f"several classes share the words {twice[0]!r}; prompts could not distinguish them")


def _new_parts(
    spec: TextPriorTraining, autoencoder: Autoencoder, side: int, class_words: Sequence[str], device: torch.device
) -> TextParts:
    """Return untrained networks."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = word_tokenizer(Captions(spec, class_words).words(), max_length=spec.prompt_length)
    text_config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.text_width,
        intermediate_size=4 * spec.text_width,
        projection_dim=spec.text_width,
        num_hidden_layers=spec.text_depth,
        num_attention_heads=spec.text_width // 16,
        max_position_embeddings=spec.prompt_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    levels = len(spec.unet_channels)
    unet: Any = UNet2DConditionModel(
        sample_size=side // autoencoder.downscale,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=spec.unet_channels,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        layers_per_block=1,
        attention_head_dim=4,
        cross_attention_dim=spec.text_width,
        norm_num_groups=math.gcd(16, *spec.unet_channels),
    )
    text_encoder: Any = CLIPTextModel(text_config)
    scheduler = {
        "num_train_timesteps": NUM_TIMESTEPS,
        "beta_start": BETA_START,
        "beta_end": BETA_END,
        "beta_schedule": "linear",
        "clip_sample": False,
        "prediction_type": spec.prediction,
        "timestep_spacing": "trailing",
        "steps_offset": 1,  # of no effect with this spacing; diffusers asks for it
    }
    return TextParts(tokenizer, text_encoder.to(device), unet.to(device), autoencoder, scheduler)


def _train(
    parts: TextParts,
    cache: LatentCache,
    spec: TextPriorTraining,
    class_words: Sequence[str],
    device: torch.device,
    report: ProgressCallback,
    log: CurveCallback,
) -> float:
    """Train text encoder and UNet together; leaves the EMA weights in them and returns the loss at the end."""
    rng, captions = seeds.generator("prior", spec.seed, "unet"), Captions(spec, class_words)
    table = parts.text_encoder.get_input_embeddings()
    generator = TextToImageGenerator(parts, {})
    parts.text_encoder.set_input_embeddings(table)
    parameters = [p for module in (parts.text_encoder, parts.unet) for p in module.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer, ema = adamw(parameters, spec.unet_lr), Ema(parameters, spec.ema_decay)
    losses = []
    for step in range(spec.unet_steps):
        set_lr(optimizer, spec.unet_lr, step, spec.unet_steps)
        batch = torch.randint(0, len(cache), (spec.unet_batch,), generator=rng)
        x0, prompts = cache.draw(batch, rng), captions.draw(cache.labels[batch], rng)
        loss = generator.denoising_loss(x0, generator.text.encode(prompts), rng).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        ema.update()
        losses.append(loss.detach())
        tell("unet", step, spec.unet_steps, report, log, unet_loss=losses[-1])
    ema.copy_to_parameters()
    for module in (parts.text_encoder, parts.unet):
        module.requires_grad_(False).eval()
    return tail_mean(losses)
