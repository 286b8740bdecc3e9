"""Times a class-conditional generator: a fine-tuning step of Minimax Diffusion, sampling, encoding and decoding.

Everything runs through the harness's own classes, so that what is timed is what a run does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from harness.diffusion.adaptive_batches import Batches
from harness.diffusion.dit import guided_output
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.latents import LatentCache
from harness.diffusion.samplers import sample_latents
from methods.minimax import Criteria, Minimax
from tests.benchmarks.gpu.sizes import NUM_CLASSES, Size, random_generator
from tests.benchmarks.gpu.timing import Peaks, Row, measure, operations

GUIDANCE = 4.0


def finetune(size: Size, device: torch.device, peaks: Peaks, precisions: list[str], options: Any) -> Iterator[Row]:
    """A step of DiffFit fine-tuning with both criteria, from the latent cache to the EMA."""
    for precision in precisions:
        generator = random_generator(size, device)
        generator.accelerate(precision=precision)  # type: ignore[arg-type]
        step = _tuning_step(generator, size, device)
        count = operations(step)
        if options.compiled:
            generator.accelerate(precision=precision, compiled=True)  # type: ignore[arg-type]
        yield measure(
            "finetune", f"minimax step{_compiled(options)}", step, device=device, peaks=peaks, precision=precision,
            batch=size.tuning_batch, num_images=size.tuning_batch, num_operations=count, calls=options.calls,
        )  # fmt: skip


def _tuning_step(generator: ClassConditionalGenerator, size: Size, device: torch.device) -> Callable[[], object]:
    rng, config, num = torch.Generator().manual_seed(0), Minimax.Config(), 64
    moments = torch.randn(2, 2, num, *generator.latent_shape, generator=rng).abs()
    cache = LatentCache(moments, torch.arange(num) % NUM_CLASSES)
    tuner = generator.finetune(
        mode=config.trainable, lr=config.lr, weight_decay=config.weight_decay, ema_decay=config.ema_decay
    )
    criteria = Criteria(torch.arange(NUM_CLASSES, device=device), config.lambda_r, config.lambda_d, config.memory)

    def step() -> None:
        rows = torch.randint(0, num, (size.tuning_batch,), generator=rng)
        x0, labels = cache.draw(rows, rng).to(device), cache.labels[rows].to(device)
        denoising, predicted = tuner.loss(x0, labels, rng)
        represent, diversity = criteria(x0, predicted, labels)
        tuner.step(denoising.mean() + represent + diversity)

    return step


def sampling(size: Size, device: torch.device, peaks: Peaks, precisions: list[str], options: Any) -> Iterator[Row]:
    """Ancestral sampling of latents with guidance, by batch size."""
    steps = options.steps or size.steps
    for precision in precisions:
        generator = random_generator(size, device)
        generator.accelerate(precision=precision)  # type: ignore[arg-type]
        model, x = generator.model, torch.randn(1, *generator.latent_shape, device=device)
        zeros = torch.zeros(1, dtype=torch.long, device=device)
        with torch.no_grad():
            one_step = operations(partial(guided_output, model, x, zeros, zeros, guidance=GUIDANCE))
        if options.compiled:
            generator.accelerate(precision=precision, compiled=True)  # type: ignore[arg-type]
        for batch in options.batches or size.sampling_batches:
            fitted = Batches()
            draw = partial(
                sample_latents, model, torch.arange(batch) % NUM_CLASSES, list(range(batch)), steps=steps,
                guidance=GUIDANCE, batch_size=batch, device=device, batches=fitted,
            )  # fmt: skip
            yield measure(
                "sampling", f"{steps} ancestral steps, guidance {GUIDANCE:g}{_compiled(options)}", draw, device=device,
                peaks=peaks, precision=precision, batch=batch, num_images=batch,
                num_operations=one_step * steps * batch, calls=options.calls, note=partial(_joined, fitted),
            )  # fmt: skip


def vae(size: Size, device: torch.device, peaks: Peaks, precisions: list[str], options: Any) -> Iterator[Row]:
    """Encoding and decoding, in float32 as the harness does."""
    del precisions
    generator = random_generator(size, device)
    for batch in options.batches or size.vae_batches:
        images = torch.randint(0, 256, (batch, 3, size.image_side, size.image_side), dtype=torch.uint8, device=device)
        latents = torch.randn(batch, *generator.latent_shape, device=device)
        work: dict[str, Callable[[], object]] = {
            "encode": partial(generator.encode_moments, images),
            "decode": partial(generator.decode, latents, batch_size=batch),
        }
        for what, call in work.items():
            yield measure(
                "vae", f"{what} {size.image_side} pixels", call, device=device, peaks=peaks, precision="float32",
                batch=batch, num_images=batch, num_operations=operations(call), calls=options.calls,
                note=partial(_joined, generator),
            )  # fmt: skip


def _compiled(options: Any) -> str:
    return ", compiled" if options.compiled else ""


def _joined(told: Any) -> str:
    return "; ".join(told.notes)
