"""Cost of fine-tuning steps and of sampling on a small generator.

Run: pytest -o addopts= --benchmark-only tests/benchmarks/test_bench_diffusion.py

The generator is untrained: its times are those of a trained one. One thread, so that numbers compare.
"""

import pytest
import torch

from harness.diffusion.dit import DiTConfig, build_dit
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.samplers import SAMPLERS, sample_latents
from harness.diffusion.vae import Autoencoder

BATCH = 8
LABELS = torch.arange(64) % 10


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def generator() -> ClassConditionalGenerator:
    """32-pixel images, 8-pixel latents, a DiT of 96 x 4."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(32, 64, 64),
            norm_num_groups=8,
        )
    model = build_dit(DiTConfig(8, 2, 4, 96, 4, 4, 10), torch.Generator().manual_seed(0)).eval()
    autoencoder = Autoencoder(vae)
    return ClassConditionalGenerator(model, autoencoder, autoencoder, {str(i): i for i in range(10)})


@pytest.mark.benchmark(group="fine-tuning step, 8 images of 32 pixels")
@pytest.mark.parametrize("cached", [True, False], ids=["latent cache", "encoding at every step"])
def test_fine_tuning_step(benchmark, generator, cached):
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, 32, 32), generator=rng, dtype=torch.uint8)
    cache = generator.latent_cache(images, LABELS, flips=True)
    tuner = generator.finetune(mode="difffit", lr=1e-3, weight_decay=0.0, ema_decay=0.9999)

    def step() -> None:
        batch = torch.randint(0, len(images), (BATCH,), generator=rng)
        if cached:
            x0 = cache.draw(batch, rng)
        else:
            mean, std = generator.encode_moments(images[batch])
            x0 = mean + std * torch.randn(mean.shape, generator=rng)
        tuner.step(tuner.loss(x0, LABELS[batch], rng)[0].mean())

    benchmark.pedantic(step, rounds=20, warmup_rounds=2)


@pytest.mark.benchmark(group="64 images of 10 ancestral steps, guided")
@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_sampling_by_batch_size(benchmark, generator, batch_size):
    def draw() -> None:
        sample_latents(
            generator.model,
            LABELS,
            list(range(64)),
            steps=10,
            guidance=2.0,
            batch_size=batch_size,
            device=torch.device("cpu"),
        )

    benchmark.pedantic(draw, rounds=2, warmup_rounds=1)


@pytest.mark.benchmark(group="16 images of 10 steps, by sampler")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampling_by_sampler(benchmark, generator, sampler):
    def draw() -> None:
        sample_latents(
            generator.model,
            LABELS[:16],
            list(range(16)),
            steps=10,
            guidance=2.0,
            sampler=sampler,
            device=torch.device("cpu"),
        )

    benchmark.pedantic(draw, rounds=3, warmup_rounds=1)
