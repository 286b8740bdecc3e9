"""Our DiT against the golden values of the original network.

Tolerance: 2e-5, the file's own; the reference's float32 outputs differ from its float64 ones by 1.1e-6.
"""

import pytest
import torch

from harness.diffusion.difffit import add_scales
from harness.diffusion.dit import DiT, DiTConfig, build_dit, guided_output
from tests.diffusion.filled import golden, hash_fill, sine_input

FILE = golden("dit_forward")
SMALL = FILE["small_networks"]
TOLERANCE = 2e-5


def network(name: str, *, scales: bool) -> DiT:
    model = DiT(DiTConfig(**SMALL[name]["config"]))
    if scales:
        add_scales(model)
    return hash_fill(model)


def inputs(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    given, config = SMALL[name]["input"], SMALL[name]["config"]
    side = config["input_size"]
    x = sine_input(given["batch"], config["in_channels"], side, side)
    return x, torch.tensor(given["t"]), torch.tensor(given["y"])


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("scales", "key"), [(True, "output"), (False, "output_with_gamma_all_ones")])
def test_outputs_are_those_of_the_original_network(name, scales, key):
    with torch.no_grad():
        output = network(name, scales=scales)(*inputs(name))

    assert list(output.shape) == SMALL[name]["output_shape"]
    torch.testing.assert_close(output.flatten(1), torch.tensor(SMALL[name][key]), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", SMALL)
def test_guidance_changes_the_first_three_noise_channels_only(name):
    expected = SMALL[name]["guidance"]
    x, t, y = inputs(name)

    with torch.no_grad():
        output = guided_output(network(name, scales=True), x, t, y, guidance=expected["scale"])

    conditional_half = torch.tensor(expected["output"])[: len(x)]
    torch.testing.assert_close(output.flatten(1), conditional_half, atol=TOLERANCE, rtol=0)


def test_guidance_of_one_calls_the_conditional_half_alone():
    model, batches = network("a", scales=False), []
    model.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    x, t, y = inputs("a")

    with torch.no_grad():
        output = guided_output(model, x, t, y, guidance=1.0)
        assert torch.equal(output, model(x, t, y))
    assert batches == [2, 2]


@pytest.mark.parametrize("name", SMALL)
def test_names_and_shapes_are_those_of_the_original_checkpoint(name):
    ours = {n: list(p.shape) for n, p in network(name, scales=True).named_parameters()}

    assert ours == {entry["name"]: entry["shape"] for entry in SMALL[name]["state"]}
    assert sum(p.numel() for p in network(name, scales=True).parameters()) == SMALL[name]["parameters"]


def test_xl_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = DiT(DiTConfig())
        plain = sum(p.numel() for p in model.parameters())
        add_scales(model)

    counts = FILE["counts"]["DiT-XL/2"]
    assert plain == counts["parameters_without_gamma"] == 675_129_632
    assert sum(p.numel() for p in model.parameters()) - plain == counts["gamma_parameters"]
    assert model.pos_embed.numel() == counts["pos_embed"]


def test_a_dropped_label_is_the_null_class():
    model = network("a", scales=False)
    x, t, y = inputs("a")

    with torch.no_grad():
        dropped = model(x, t, y, torch.tensor([True, False]))
        assert torch.equal(dropped, model(x, t, torch.tensor([10, y[1]])))


def test_a_new_network_depends_on_its_generator_only():
    before = torch.random.get_rng_state()
    first, second = (build_dit(DiTConfig(8, 2, 4, 16, 1, 2, 3), torch.Generator().manual_seed(5)) for _ in range(2))

    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    x, t, _ = inputs("a")
    assert first(x, t, torch.tensor([0, 1])).count_nonzero() == 0  # adaLN-Zero: the output starts at 0
