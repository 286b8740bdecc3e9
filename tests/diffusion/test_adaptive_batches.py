"""Out of memory costs time and a line in the log, never another result.

Tolerances: one grey level of images, 2e-6 of the largest latent: rounding in another batch size, as in test_samplers.
"""

import logging

import pytest
import torch

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.diffusion import adaptive_batches as module
from harness.diffusion.adaptive_batches import Batches, fitting
from harness.diffusion.dit import DiT, DiTConfig
from harness.diffusion.samplers import bytes_per_latent, sample_latents
from tests.diffusion.conftest import tiny_images
from tests.diffusion.filled import hash_fill

CPU = torch.device("cpu")


class Small:
    """Wraps a call as a device with little memory would: a batch above `most` is refused. Counts the calls it let pass."""

    def __init__(self, call, most):
        self.call, self.most, self.sizes, self.refused = call, most, [], 0

    def __call__(self, x, *args, **options):
        if len(x) > self.most:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.sizes.append(len(x))
        return self.call(x, *args, **options)


@pytest.fixture
def model() -> DiT:
    return hash_fill(DiT(DiTConfig(8, 2, 4, 48, 3, 4, 10))).eval()


def draw(model, count, **options):
    labels = torch.arange(count) % 10
    options = {"steps": 5, "guidance": 2.0, "device": CPU} | options
    return sample_latents(model, labels, list(range(count)), **options)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpmsolver++"])
def test_sampling_with_little_memory_gives_the_same_latents(model, sampler, caplog):
    whole = draw(model, 13, sampler=sampler, batch_size=13)
    model.forward = small = Small(model.forward, most=7)  # both halves of guidance: three images

    with caplog.at_level(logging.WARNING):
        halved = draw(model, 13, sampler=sampler, batch_size=13)

    torch.testing.assert_close(halved, whole, atol=2e-6 * whole.abs().max().item(), rtol=0)
    assert set(small.sizes) == {6, 2}, "13 and 6 were refused, then batches of three and a last one"
    assert [r.getMessage() for r in caplog.records] == [
        "sampling: out of memory with batch size 13 on cpu; continuing with 6",
        "sampling: out of memory with batch size 6 on cpu; continuing with 3",
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 8, 64])
def test_every_batch_size_gives_the_same_latents(model, batch_size):
    whole = draw(model, 8, batch_size=8)
    parts = draw(model, 8, batch_size=batch_size)
    torch.testing.assert_close(parts, whole, atol=2e-6 * whole.abs().max().item(), rtol=0)


def test_a_generator_with_little_memory_gives_the_same_images_and_tells(generator):
    def images(count=6):
        rng = torch.Generator().manual_seed(0)
        return generator.sample(ClassInfo("one", 1, "one"), count, steps=5, guidance=2.0, rng=rng, batch_size=count)

    whole = images()
    generator.model.forward = small = Small(generator.model.forward, most=4)
    generator.decoder.vae.decode = decoder = Small(generator.decoder.vae.decode, most=1)

    assert (images().int() - whole.int()).abs().max() <= 1
    assert set(generator.notes) == {
        "sampling: out of memory with batch size 3 on cpu; continuing with 1",
        "decoding: out of memory with batch size 3 on cpu; continuing with 1",
    }
    refused = small.refused + decoder.refused
    images()
    assert small.refused + decoder.refused == refused, "what fitted is remembered"


def test_encoding_with_little_memory_gives_the_same_moments(generator):
    images, labels = tiny_images()
    whole = generator.latent_cache(images, labels, flips=True).moments
    generator.encoder.vae.encode = Small(generator.encoder.vae.encode, most=5)

    halved = generator.latent_cache(images, labels, flips=True).moments

    torch.testing.assert_close(halved, whole, atol=1e-5, rtol=1e-5)


def test_a_text_to_image_generator_with_little_memory_gives_the_same_images(text_generator):
    def images():
        return text_generator.sample(["a photo of a two"] * 5, list(range(5)), steps=3, guidance=2.0, batch_size=5)

    whole = images()
    text_generator.unet.forward = small = Small(text_generator.unet.forward, most=4)

    assert (images().int() - whole.int()).abs().max() <= 1
    assert set(small.sizes) == {4, 2}


def test_one_image_that_does_not_fit_is_told(model):
    model.forward = Small(model.forward, most=0)
    with pytest.raises(UserError, match=r"sampling: even a single image .* Tried to allocate 2\.00 GiB"):
        draw(model, 4, batch_size=4)


def test_other_errors_are_not_hidden():
    def work(start, end):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(Batches().map("sampling", 4, 2, work, device=CPU))


def test_no_limit_is_estimated_without_a_gpu():
    assert fitting(1e12, CPU) >= 10**6


def test_batches_are_chosen_to_fit_the_free_memory_of_a_gpu(monkeypatch):
    gigabyte = 10**9
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (6 * gigabyte, 24 * gigabyte))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 5 * gigabyte)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1 * gigabyte)
    device = torch.device("cuda", 0)

    assert fitting(gigabyte, device) == int(module.FREE_SHARE * 10)
    assert fitting(100 * gigabyte, device) == 1
    assert fitting(0, device) >= 10**6, "unknown"
    sizes = list(Batches().map("x", 20, 20, lambda start, end: end - start, device=device, bytes_each=gigabyte))
    assert sizes == [8, 8, 4]


def test_the_estimate_of_xl_is_near_what_was_measured():
    """A forward pass of one latent took 13.0 MB on a CPU (growth of the peak from batch 16 to 32)."""
    assert bytes_per_latent(DiTConfig()) == pytest.approx(13.0e6, rel=0.15)
