"""A step of Minimax Diffusion and the sampling of two images, against train_dit.py and sample.py of the authors.

DiT-S/2 (hidden 384, depth 12) at 256 pixels and a VAE of Stable Diffusion's size, both with random weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from harness.diffusion.dit import DiTConfig
from harness.diffusion.samplers import sample_latents
from methods._sampling import Sampling
from tests.benchmarks.gpu.generators import _tuning_step
from tests.benchmarks.gpu.sizes import SIZES, Size, random_generator
from tests.benchmarks.peers.checkout import checkout
from tests.benchmarks.peers.measure import THEIRS, Peer

BATCH, EPOCHS, STEPS, IMAGES, GUIDANCE, SCALE = 8, 8, 50, 2, 4.0, 0.18215
SAMPLING_WAYS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32", "compiled": False},
    "bfloat16": {"precision": "bfloat16", "compiled": False},
    "bfloat16, compiled": {"precision": "bfloat16", "compiled": True},
    "fast, bfloat16, compiled": {"precision": "bfloat16", "compiled": True, "sampler": "fast"},
}
SMALL = SIZES["xl"].__class__(**{**vars(SIZES["xl"]), "dit": DiTConfig(32, 2, 4, 384, 12, 6, 1000)})


def generators(folder: Path, device: torch.device, share: float) -> Iterator[Peer]:
    """Yield both rows; `share` of the sampling steps."""
    generator = random_generator(SMALL, device)
    vae = generator.decoder.vae
    with checkout(folder):
        import diffusion as theirs  # type: ignore[import-not-found]
        import models as their_models  # type: ignore[import-not-found]
    model = their_models.DiT_models["DiT-S/2"](input_size=32, num_classes=1000).to(device)
    images = torch.randint(0, 256, (BATCH, 3, 256, 256), dtype=torch.uint8, device=device)

    def encode_once() -> float:
        """Seconds of encoding a batch, shared by the epochs that use it."""
        clock = time.perf_counter if device.type == "cuda" else time.process_time
        began = clock()
        generator.encode_moments(images)
        return (clock() - began) / EPOCHS

    ways: dict[str, Callable[[], object]] = {THEIRS: _their_step(theirs, model, vae, images, device)}
    for precision in ("float32", "bfloat16"):
        ways[precision] = _at(precision, SMALL, device)
    yield Peer(
        f"Minimax Diffusion: a step, batch {BATCH}, an image encoded once for {EPOCHS} epochs", ways, once=encode_once
    )

    steps = max(2, round(STEPS * share))
    process = theirs.create_diffusion(str(steps))

    @torch.no_grad()
    def their_images() -> None:
        for _ in range(IMAGES):  # one at a time, as in their script
            z = torch.randn(1, 4, 32, 32, device=device)
            given = {"y": torch.tensor([7, 1000], device=device), "cfg_scale": GUIDANCE}
            process.p_sample_loop(
                model.eval().forward_with_cfg, (2, 4, 32, 32), torch.cat([z, z]), clip_denoised=False, model_kwargs=given,
                progress=False, device=device,
            )  # fmt: skip

    def our_images(generator: Any, config: Sampling) -> Callable[[], object]:
        generator.accelerate(precision=config.precision, compiled=config.compiled)
        sampler, steps = config.chain
        labels, seeds = torch.full((IMAGES,), 7), list(range(IMAGES))
        options = {"steps": steps, "guidance": GUIDANCE, "sampler": sampler, "device": device}
        return lambda: sample_latents(generator.model, labels, seeds, **options)

    ways = {THEIRS: their_images}
    for way, options in SAMPLING_WAYS.items():
        ways[way] = our_images(random_generator(SMALL, device), Sampling(sampling_steps=steps, **options))
    yield Peer(f"sampling: {IMAGES} images of a class, {steps} steps, guidance 4, without decoding", ways)


def _at(precision: Any, size: Size, device: torch.device) -> Callable[[], object]:
    generator = random_generator(size, device)
    generator.accelerate(precision=precision)
    return _tuning_step(generator, size, device)


def _their_step(theirs: Any, model: Any, vae: Any, images: torch.Tensor, device: torch.device) -> Callable[[], object]:
    """Return a step of their loop without its memory of embeddings, which costs little: encode, loss, update."""
    process = theirs.create_diffusion(timestep_respacing="")
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(word in name for word in ("bias", "norm", "gamma", "y_embed"))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0)
    labels = torch.arange(BATCH, device=device)

    def step() -> None:
        model.train()
        with torch.no_grad():
            x = vae.encode(images.float() / 127.5 - 1).latent_dist.sample().mul_(SCALE)
        t = torch.randint(0, process.num_timesteps, (BATCH,), device=device)
        loss = process.training_losses(model, x, t, {"y": labels})["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
