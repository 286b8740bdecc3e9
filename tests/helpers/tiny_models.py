"""Pre-trained weights in their real formats, untrained and tiny, for tests that need a folder to load."""

from __future__ import annotations

from pathlib import Path

import torch


def stable_diffusion(folder: Path) -> None:
    """Write an untrained Stable Diffusion 1.x: its components, scheduler and file layout, but tiny."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from harness.diffusion.word_tokenizer import word_tokenizer

    tokenizer = word_tokenizer(["a", "photo", "of", "the", "dog", "picture", "an", "image"], max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=16,
        norm_num_groups=4,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8,) * 4,
        norm_num_groups=4,
        sample_size=64,
    )
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    parts = {"vae": vae, "text_encoder": CLIPTextModel(text), "tokenizer": tokenizer, "unet": unet}
    pipeline = StableDiffusionPipeline(
        **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipeline.save_pretrained(folder)


def dit(folder: Path, classes: list[str], side: int = 32) -> None:
    """Write a class-conditional DiT pipeline of `classes`, for images of `side` pixels."""
    from harness.core.config.generator import PriorTraining
    from harness.diffusion.prior import train_class_conditional

    spec = PriorTraining(
        vae_channels=(8, 8), vae_steps=3, hidden_size=32, depth=2, num_heads=2, dit_steps=3, dit_batch=8, vae_batch=8
    )
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (16, 3, side, side), dtype=torch.uint8, generator=rng)
    train_class_conditional(
        images, torch.arange(16) % len(classes), spec=spec, class_names=classes, out_folder=folder, device="cpu",
        report=lambda *_: None, log=lambda *_, **__: None,
    )  # fmt: skip
