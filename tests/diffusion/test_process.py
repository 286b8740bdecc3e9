"""The diffusion process against golden/ddpm_respaced and hand-worked losses.

Tolerances are the golden file's: abs error <= tol * max(1, |value|); the reference rounds its coefficients to float32.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from harness.diffusion.process import GaussianDiffusion, discretised_log_likelihood, gaussian_kl
from harness.diffusion.samplers import ancestral_chain
from tests.diffusion.filled import GOLDEN, golden

ARRAYS = np.load(GOLDEN / "ddpm_respaced.npz")
TOLERANCE = golden("ddpm_respaced")["suggested_tolerance"]
TABLES = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
)


def assert_close(found, expected, tolerance):
    error = np.abs(np.asarray(found) - expected) / np.maximum(1.0, np.abs(expected))
    assert error.max() <= tolerance


def test_fifty_steps_are_those_of_the_reference():
    assert GaussianDiffusion.respaced(50).timesteps == ARRAYS["timestep_map"].tolist()


def test_half_steps_round_to_even_as_in_the_reference():
    """golden/ddpm_respaced.json, rule_kept_steps, at 25 steps: a stride of 41.625, so steps 4, 12 and 20 are halves."""
    kept = GaussianDiffusion.respaced(25).timesteps
    assert (kept[4], kept[12], kept[20]) == (166, 500, 832), "166.5, 499.5 and 832.5"
    assert kept == [0, 42, 83, 125, 166, 208, 250, 291, 333, 375, 416, 458, 500, 541, 583, 624, 666, 708, 749, 791, 832,
                    874, 916, 957, 999]  # fmt: skip


@pytest.mark.parametrize(("steps", "middle"), [(21, 10), (23, 11), (27, 13)])
def test_the_stride_is_added_up_as_in_the_reference(steps, middle):
    """The same rule: the sum stays below 499.5 by a rounding error, where the product would be 499.5, and 500."""
    assert GaussianDiffusion.respaced(steps).timesteps[middle] == 499


@pytest.mark.parametrize("table", TABLES)
def test_tables_of_the_respaced_process(table):
    np.testing.assert_allclose(getattr(GaussianDiffusion.respaced(50), table), ARRAYS[table], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("position", range(5))
def test_the_previous_step_is_distributed_as_in_the_reference(position):
    process, step = GaussianDiffusion.respaced(50), int(ARRAYS["step_index"][position])
    assert process.timesteps[step] == ARRAYS["original_timestep"][position]
    for pair in range(3):
        x, output = torch.from_numpy(ARRAYS["x_t"][pair]), torch.from_numpy(ARRAYS["model_output"][pair])
        mean, log_variance, x0 = process.p_mean_variance(output, x, torch.full((len(x),), step))
        assert_close(mean, ARRAYS["mean"][pair, position], TOLERANCE["mean"])
        assert_close(log_variance, ARRAYS["log_variance"][pair, position], TOLERANCE["log_variance"])
        assert_close(x0, ARRAYS["pred_xstart"][pair, position], TOLERANCE["pred_xstart"])


def test_a_whole_chain_ends_where_the_reference_ends():
    weight = torch.from_numpy(ARRAYS["chain_weight"])
    alphas_cumprod = torch.from_numpy(GaussianDiffusion().alphas_cumprod)
    noises = iter(torch.from_numpy(ARRAYS["chain_noise"]))

    def network(x, t):
        hidden = torch.einsum("oc,bchw->bohw", weight, x).tanh()
        noise = (1 - alphas_cumprod[t]).sqrt().float().view(-1, 1, 1, 1) * x + 0.1 * hidden[:, :4]
        return torch.cat([noise, hidden[:, 4:]], dim=1)

    result = ancestral_chain(
        network, torch.from_numpy(ARRAYS["chain_start"]), GaussianDiffusion.respaced(50), lambda: next(noises)
    )

    assert_close(result, ARRAYS["chain_result"], TOLERANCE["chain_result"])
    assert_close(result, ARRAYS["chain_result_float64"], TOLERANCE["chain_result"])


@pytest.mark.parametrize("steps", [1, 1001])
def test_an_impossible_number_of_steps_is_refused(steps):
    with pytest.raises(ValueError, match="expected 2 to 1000"):
        GaussianDiffusion.respaced(steps)


class Fixed(nn.Module):
    """A network that answers with a given tensor."""

    def __init__(self, output):
        super().__init__()
        self.output = nn.Parameter(output)

    def forward(self, x, t, labels, drop):
        return self.output


def losses(output, t, *, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x0, noise = torch.randn(2, 2, 4, 3, 3, generator=rng)
    process, model = GaussianDiffusion(), Fixed(output(x0, noise))
    t = torch.tensor(t)
    loss, pred_x0 = process.training_losses(model, x0, t, torch.zeros(2, dtype=torch.long), noise, None)
    return process, model, x0, noise, t, loss, pred_x0


def test_the_right_noise_predicts_the_clean_latents():
    *_, x0, _, _, _, pred_x0 = losses(lambda x0, noise: torch.cat([noise, 0 * noise], 1), [3, 700])

    torch.testing.assert_close(pred_x0, x0, atol=2e-4, rtol=0)  # the noise is multiplied by up to 14 at t = 700


def test_the_loss_is_noise_error_plus_a_kl_in_bits():
    """Worked in float64 from the formulas: KL of the true and the predicted Gaussian, divided by ln 2."""
    output = torch.linspace(-1, 1, 2 * 8 * 9).view(2, 8, 3, 3)
    process, _, x0, noise, t, loss, _ = losses(lambda x0, noise: output, [1, 600])

    for i, step in enumerate(t.tolist()):
        a = process.alphas_cumprod[step]
        clean, eps = x0[i].double(), noise[i].double()
        predicted, v = output[i, :4].double(), output[i, 4:].double()
        x = math.sqrt(a) * clean + math.sqrt(1 - a) * eps
        c1, c2 = process.posterior_mean_coef1[step], process.posterior_mean_coef2[step]
        guess = (x - math.sqrt(1 - a) * predicted) / math.sqrt(a)
        fraction = (v + 1) / 2
        true_log = process.posterior_log_variance_clipped[step]
        log = fraction * math.log(process.betas[step]) + (1 - fraction) * true_log
        gap = c1 * (clean - guess)  # the means differ by their x0 terms only
        kl = 0.5 * (-1 + log - true_log + torch.exp(true_log - log) + gap**2 * torch.exp(-log))
        assert c2 >= 0
        expected = (eps - predicted).square().mean() + kl.mean() / math.log(2)
        assert loss[i].item() == pytest.approx(expected.item(), rel=2e-4)


def test_the_variational_term_does_not_move_the_mean():
    """The gradient of the noise channels is that of the squared error alone."""
    output = torch.linspace(-1, 1, 2 * 8 * 9).view(2, 8, 3, 3)
    _, model, _, noise, _, loss, _ = losses(lambda x0, noise: output, [0, 600])

    loss.sum().backward()

    expected = 2 * (output[:, :4] - noise) / noise[0].numel()
    torch.testing.assert_close(model.output.grad[:, :4], expected, atol=1e-7, rtol=1e-5)
    assert model.output.grad[:, 4:].abs().sum() > 0


def test_predicted_latents_carry_gradient():
    _, model, *_, pred_x0 = losses(lambda x0, noise: torch.cat([noise, noise], 1), [10, 500])

    pred_x0.sum().backward()

    assert (model.output.grad[:, :4] != 0).all()


def test_step_zero_uses_the_likelihood_of_a_grey_level():
    """At the exact mean with a small std, a level's bin of width 2/255 holds nearly all of the mass."""
    x = torch.tensor([0.1, 0.1, -1.0, 1.0])
    mean = torch.tensor([0.1, 0.5, -1.0, 1.0])

    found = discretised_log_likelihood(x, mean, torch.full((4,), math.log(1e-3)))

    torch.testing.assert_close(found, torch.tensor([0.0, math.log(1e-12), 0.0, 0.0]), atol=1e-4, rtol=0)


def test_kl_of_equal_gaussians_is_zero():
    mean, log_variance = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    assert gaussian_kl(mean, log_variance, mean, log_variance).abs().max() == 0
