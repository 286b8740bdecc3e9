"""Importing the package is cheap, and the same code runs on a GPU."""

import subprocess
import sys

import pytest
import torch

from harness.diffusion.samplers import sample_latents


def test_importing_the_package_loads_no_torch():
    code = "import sys, harness.diffusion; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_draws_and_trains_as_the_cpu_does(generator):
    """Equal noise on both devices. Tolerance 1e-2: other summation orders, amplified by 10 steps."""
    labels, shape = torch.tensor([0, 1, 2]), generator.latent_shape
    results = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        generator.model.to(device)
        latents = sample_latents(generator.model, labels, [5, 6, 7], steps=10, guidance=2.0, device=device)
        tuner, rng = generator.finetune(mode="difffit", lr=1e-3, weight_decay=0.0, ema_decay=0.9), torch.Generator()
        rng.manual_seed(0)
        tuner.restore(tuner.checkpoint())
        loss, _ = tuner.loss(torch.randn(3, *shape, generator=rng), labels, rng)
        tuner.step(loss.mean())
        results.append((latents.cpu(), loss.detach().cpu(), tuner.state()["final_layer.linear.bias"]))

    torch.testing.assert_close(results[1], results[0], atol=1e-2, rtol=1e-2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu_in_bfloat16_draws_nearly_what_the_cpu_draws(generator, compiled):
    """Tolerance 10 % of the largest latent: 0.5 % a call (test_precision.py), amplified by 10 guided steps."""

    def draw(device):
        return sample_latents(
            generator.model, torch.tensor([0, 1, 2]), [5, 6, 7], steps=10, guidance=2.0, device=torch.device(device)
        ).cpu()

    exact = draw("cpu")
    generator.model.to("cuda")
    generator.accelerate(precision="bfloat16", compiled=compiled)
    assert (draw("cuda") - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_whose_memory_runs_out_goes_on_with_half(generator):
    """The process may use 2 GiB; six items want 3 GB, three items 1.5 GB."""
    from harness.diffusion.adaptive_batches import Batches

    device = torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(2**31 / total)
    try:
        batches = Batches()
        sizes = list(
            batches.map(
                "filling",
                6,
                6,
                lambda start, end: len(torch.empty(end - start, 2**29, dtype=torch.uint8, device=device)),
                device=device,
            )
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert sizes == [3, 3]
    assert batches.notes == ["filling: out of memory with batch size 6 on cuda; continuing with 3"]
