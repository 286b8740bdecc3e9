"""bfloat16 and compilation: what they change, and what they must not.

Tolerances: bfloat16 has 8 bits of mantissa (steps of 2^-8 = 0.4 %); three blocks add up to 2 % of the largest output, measured
0.55 %. A compiled graph without fusion ("eager") multiplies the same matrices in the same order: equal to 1e-6.
"""

import functools

import pytest
import torch

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.diffusion.dit import DiT, DiTConfig
from harness.diffusion.precision import check_precision
from methods.minimax import Minimax
from tests.diffusion.filled import hash_fill, sine_input

ONE = ClassInfo("one", 1, "one")


@pytest.fixture
def model() -> DiT:
    return hash_fill(DiT(DiTConfig(8, 2, 4, 48, 3, 4, 10))).eval()


def run(model):
    with torch.no_grad():
        return model(sine_input(2, 4, 8, 8), torch.tensor([10, 500]), torch.tensor([1, 7]))


def draw(generator):
    return generator.sample(ONE, 3, steps=4, guidance=2.0, rng=torch.Generator().manual_seed(0))


def tune(generator, steps=3):
    """A few steps of fine-tuning; returns the losses and the EMA."""
    tuner = generator.finetune(mode="difffit", lr=0.01, weight_decay=0.0, ema_decay=0.5)
    rng, losses = torch.Generator().manual_seed(0), []
    for _ in range(steps):
        loss, _ = tuner.loss(torch.randn(4, *generator.latent_shape, generator=rng), torch.arange(4) % 3, rng)
        tuner.step(loss.mean())
        losses.append(loss.detach())
    return torch.cat(losses), tuner


def test_bfloat16_multiplies_in_bfloat16_and_returns_float32(model):
    seen = {}
    model.blocks[0].mlp.fc1.register_forward_hook(lambda module, given, out: seen.update(inside=out.dtype))
    exact = run(model)
    assert seen["inside"] == torch.float32

    model.precision = "bfloat16"
    rounded = run(model)

    assert seen["inside"] == torch.bfloat16
    assert rounded.dtype == torch.float32
    difference = (rounded - exact).abs().max() / exact.abs().max()
    assert 1e-4 < difference < 0.02


def test_float32_is_the_default_and_untouched(generator):
    before = draw(generator)
    generator.accelerate()
    assert torch.equal(draw(generator), before)


def test_bfloat16_draws_nearly_the_same_images_and_decodes_in_float32(generator):
    exact = draw(generator)
    generator.accelerate(precision="bfloat16")
    assert (draw(generator).float() - exact.float()).abs().mean() < 4
    assert generator.decoder.vae.dtype == torch.float32


def test_bfloat16_trains_float32_weights(generator):
    exact, _ = tune(generator)
    generator.accelerate(precision="bfloat16")
    rounded, tuner = tune(generator)

    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)
    assert not torch.equal(rounded, exact)
    assert {value.dtype for value in tuner.state().values()} == {torch.float32}
    assert all(p.dtype == torch.float32 for p in generator.model.parameters())


def test_a_compiled_denoiser_gives_the_same_numbers_in_every_batch_and_in_training(generator, monkeypatch):
    """Traced whole, by a backend that needs no C++ compiler."""
    images, losses = draw(generator), tune(generator)[0]
    generator.apply_finetuned({})
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager", fullgraph=True))

    generator.accelerate(compiled=True)

    assert generator.model._compiled_call_impl is not None
    assert (draw(generator).int() - images.int()).abs().max() <= 1
    torch.testing.assert_close(tune(generator)[0], losses, atol=1e-6, rtol=1e-6)


def test_an_unknown_precision_is_refused_with_the_closest(generator):
    with pytest.raises(UserError, match=r"unknown precision 'bfloat61'\. Did you mean 'bfloat16'"):
        generator.accelerate(precision="bfloat61")


def test_a_gpu_without_bfloat16_refuses_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an old GPU")
    with pytest.raises(UserError, match="an old GPU has no bfloat16 arithmetic"):
        check_precision("bfloat16", torch.device("cuda", 0))
    check_precision("float32", torch.device("cuda", 0))


def test_precision_and_compilation_are_part_of_a_jobs_key_and_batch_sizes_are_not():
    from harness.planning.plan import MethodPlan

    def hashed(**options):
        return MethodPlan("minimax", Minimax, Minimax.Config(**options).model_dump()).hashed("fit")

    assert hashed() == hashed(sampling_batch=7)
    assert len({str(h) for h in (hashed(), hashed(precision="bfloat16"), hashed(compiled=True))}) == 3
