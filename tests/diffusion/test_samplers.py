"""An image is its seed and its label, whatever it is drawn with.

Tolerance: 2e-6 of the largest latent. Matrix products round differently in another batch size (float32: 1e-7), and 10
steps add it up; measured 3e-7. The filled network is no denoiser: its latents grow to about 1000.
"""

import pytest
import torch

from harness.core.errors import UserError
from harness.diffusion import samplers
from harness.diffusion.dit import DiT, DiTConfig
from harness.diffusion.samplers import SAMPLERS, sample_latents
from tests.diffusion.filled import hash_fill

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> DiT:
    return hash_fill(DiT(DiTConfig(8, 2, 4, 48, 3, 4, 10))).eval()


def draw(model, seeds, *, sampler="ddpm", batch_size=64, steps=10, guidance=2.0):
    labels = torch.tensor([seed % 10 for seed in seeds])
    return sample_latents(
        model, labels, seeds, steps=steps, guidance=guidance, sampler=sampler, batch_size=batch_size, device=CPU
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_batch_size_and_company_do_not_matter(model, sampler):
    seeds = [7, 1, 4, 4, 2]
    together = draw(model, seeds, sampler=sampler)

    assert together.shape == (5, 4, 8, 8)
    assert torch.isfinite(together).all()
    tolerance = 2e-6 * together.abs().max().item()
    in_pairs, alone = draw(model, seeds, sampler=sampler, batch_size=2), draw(model, seeds[:2], sampler=sampler)
    torch.testing.assert_close(in_pairs, together, atol=tolerance, rtol=0)
    torch.testing.assert_close(alone, together[:2], atol=tolerance, rtol=0)
    torch.testing.assert_close(together[2], together[3], atol=tolerance, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_the_global_random_state_is_not_touched(model):
    before = torch.random.get_rng_state()
    for sampler in SAMPLERS:
        draw(model, [0, 1], sampler=sampler)

    assert torch.equal(torch.random.get_rng_state(), before)


class Gaussian(torch.nn.Module):
    """The exact denoiser of latents distributed as N(m, s^2), whatever the label."""

    config = DiTConfig(2, 1, 4, 16, 1, 2, 1)

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x, t, labels):
        from harness.diffusion.process import GaussianDiffusion

        a = torch.from_numpy(GaussianDiffusion().alphas_cumprod)[t].float().view(-1, 1, 1, 1)
        noise = (1 - a).sqrt() * (x - a.sqrt() * self.mean) / (a * self.std**2 + 1 - a)
        return torch.cat([noise, torch.zeros_like(noise)], dim=1)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_finds_the_distribution_of_an_exact_denoiser(sampler):
    """200 x 16 samples: the mean's standard error is 0.009, and 100 steps leave a bias of a few percent in std."""
    count = 200
    x = sample_latents(
        Gaussian(0.7, 0.5),
        torch.zeros(count, dtype=torch.long),
        list(range(count)),
        steps=100,
        guidance=1.0,
        sampler=sampler,
        batch_size=count,
        device=CPU,
    )

    assert x.mean().item() == pytest.approx(0.7, abs=0.03)
    assert x.std().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_begins_at_the_noisiest_step(sampler, monkeypatch):
    """Step 999 of 1000, whatever the number of steps: what it begins with is noise and nothing else."""
    model, seen = Gaussian(0.0, 1.0), []
    forward = Gaussian.forward
    monkeypatch.setattr(
        Gaussian, "forward", lambda self, x, t, labels: seen.append(int(t[0])) or forward(self, x, t, labels)
    )
    for steps in (10, 50):
        seen.clear()
        sample_latents(model, torch.zeros(1).long(), [0], steps=steps, guidance=1.0, sampler=sampler, device=CPU)
        assert seen[0] == 999
        assert len(seen) == steps
        assert seen == sorted(seen, reverse=True)


class Labelled(torch.nn.Module):
    """Finds the noise 1 for a class and 0 for the null class."""

    config = DiTConfig(2, 1, 4, 16, 1, 2, 1)

    def forward(self, x, t, labels):
        noise = (labels < 1).float().view(-1, 1, 1, 1).expand_as(x)
        return torch.cat([noise, torch.zeros_like(noise)], dim=1)


def test_three_of_the_four_channels_are_guided_as_in_the_authors_sampling(monkeypatch):
    """golden/minimax_loss.json, sampling.cfg_channels."""
    seen = []
    monkeypatch.setattr(
        samplers, "ancestral_chain", lambda denoise, x, *_: seen.append(denoise(x, torch.zeros(len(x)).long())) or x
    )
    sample_latents(Labelled(), torch.zeros(2, dtype=torch.long), [0, 1], steps=2, guidance=4.0, device=CPU)
    assert seen[0][:, :4].amax((2, 3)).tolist() == [[4, 4, 4, 1]] * 2


def test_an_unknown_sampler_is_refused_with_the_closest(model):
    with pytest.raises(UserError, match=r"unknown sampler 'ddmp'\. Did you mean 'dd"):
        draw(model, [0], sampler="ddmp")


def test_an_impossible_number_of_steps_is_refused(model):
    with pytest.raises(UserError, match="1 denoising steps"):
        draw(model, [0], steps=1)


def guided(model, guide, *, seeds=(7, 1, 4), batch_size=64, sampler="ddpm"):
    return sample_latents(
        model, torch.zeros(len(seeds)).long(), seeds, steps=10, guidance=2.0, sampler=sampler,
        batch_size=batch_size, device=CPU, guide=guide,
    )  # fmt: skip


def test_a_guide_sees_every_step_and_moves_its_mean(model):
    steps = []

    def watch(step):
        steps.append(step)
        return step.mean_BChw

    plain = guided(model, None)
    assert torch.equal(guided(model, watch), plain)
    assert [step.index for step in steps] == list(range(9, -1, -1))
    assert [step.timestep for step in steps] == [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    assert torch.equal(steps[-1].mean_BChw, plain), "the last step adds no noise: its mean is the image"
    assert not torch.allclose(guided(model, lambda step: step.mean_BChw + (step.index == 5)), plain)
    target = torch.full_like(plain, 3.0)
    assert torch.equal(guided(model, lambda step: step.mean_BChw if step.index else target), target)


def test_a_guide_knows_which_images_of_the_class_it_moves(model):
    seen = []

    def watch(step):
        if step.index == 0:
            seen.append(step.images_B.tolist())
        return step.mean_BChw

    guided(model, watch, batch_size=2)
    assert seen == [[0, 1], [2]]


def test_a_sampler_without_a_mean_refuses_a_guide(model):
    with pytest.raises(UserError, match=r"sampler 'ddim' does not support a guide.* Use ddpm"):
        guided(model, lambda step: step.mean_BChw, sampler="ddim")
