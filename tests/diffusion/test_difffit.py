"""DiffFit trains what the paper's code trains, and its scales fold away.

Tolerance of folding: 1e-5, float32 rounding of outputs of std 1.
"""

from collections import Counter

import pytest
import torch

from harness.core.errors import UserError
from harness.diffusion.difffit import add_scales, fold, has_scales, trainable_names
from harness.diffusion.dit import DiT, DiTConfig
from tests.diffusion.filled import golden, hash_fill, sine_input

FILE = golden("dit_forward")


def count(model: DiT, mode: str) -> tuple[int, int]:
    """Trainable tensors and values."""
    parameters, names = dict(model.named_parameters()), trainable_names(model, mode)
    return len(names), sum(parameters[n].numel() for n in names)


@pytest.fixture(scope="module")
def xl() -> DiT:
    with torch.device("meta"):
        model = DiT(DiTConfig())
        add_scales(model)
    return model


@pytest.mark.parametrize(("mode", "key"), [("difffit", "difffit"), ("bias", "bitfit")])
def test_xl_trains_what_the_reference_trains(xl, mode, key):
    expected = FILE["counts"]["DiT-XL/2"][key]

    assert count(xl, mode) == (expected["trainable_tensors"], expected["trainable"])
    patterns = Counter(
        ".".join("N" if part.isdigit() and n.startswith("blocks.") and i == 1 else part for i, part in enumerate(parts))
        for n in trainable_names(xl, mode)
        for parts in [n.split(".")]
    )
    assert patterns == {name: entry["tensors"] for name, entry in expected["by_pattern"].items()}


@pytest.mark.parametrize("name", FILE["small_networks"])
def test_small_networks_train_what_the_reference_trains(name):
    model = DiT(DiTConfig(**FILE["small_networks"][name]["config"]))
    add_scales(model)

    assert count(model, "difffit")[1] == FILE["small_networks"][name]["trainable"]


def test_full_fine_tuning_leaves_the_position_table():
    assert set(dict(DiT(DiTConfig(8, 2, 4, 16, 1, 2, 3)).named_parameters())) - {"pos_embed"} == set(
        trainable_names(DiT(DiTConfig(8, 2, 4, 16, 1, 2, 3)), "full")
    )


@pytest.mark.parametrize(("depth", "scaled"), [(3, 3), (12, 12), (24, 14), (28, 14)])
def test_the_first_fourteen_blocks_carry_scales(depth, scaled):
    with torch.device("meta"):
        model = DiT(DiTConfig(depth=depth, hidden_size=16, num_heads=2))
    add_scales(model)

    assert [block.gamma1 is not None for block in model.blocks] == [True] * scaled + [False] * (depth - scaled)


def test_new_scales_change_nothing_and_folded_ones_change_only_rounding():
    model = hash_fill(DiT(DiTConfig(8, 2, 4, 48, 3, 4, 10)))
    x, t, y = sine_input(2, 4, 8, 8), torch.tensor([10, 500]), torch.tensor([1, 7])
    with torch.no_grad():
        plain = model(x, t, y)
        add_scales(model)
        assert torch.equal(model(x, t, y), plain)

        for name, parameter in model.named_parameters():
            if "gamma" in name:
                parameter.copy_(1 + 0.2 * torch.sin(torch.arange(parameter.numel())))
        scaled = model(x, t, y)
        fold(model)

        assert not has_scales(model)
        assert (scaled - plain).abs().max() > 0.05
        torch.testing.assert_close(model(x, t, y), scaled, atol=1e-5, rtol=0)


def test_an_unknown_mode_is_refused_with_the_closest():
    with pytest.raises(UserError, match="Did you mean 'difffit'"):
        trainable_names(DiT(DiTConfig(8, 2, 4, 16, 1, 2, 3)), "diffit")
