"""Fine-tuning: what moves, what is averaged, and that a killed run resumes bit for bit."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.diffusion.ema import Ema

SETTINGS = {"lr": 0.01, "weight_decay": 0.01, "ema_decay": 0.9, "label_dropout": 0.5}


def run(tuner, steps, rng, shape):
    losses = []
    for _ in range(steps):
        x0, labels = torch.randn(6, *shape, generator=rng), torch.randint(0, 3, (6,), generator=rng)
        loss_B, pred_x0 = tuner.loss(x0, labels, rng)
        assert loss_B.shape == (6,)
        assert pred_x0.shape == x0.shape
        tuner.step(loss_B.mean() + 1e-3 * pred_x0.square().mean())
        losses.append(loss_B.mean().item())
    return losses


@pytest.mark.parametrize("mode", ["difffit", "bias", "full"])
def test_only_what_the_mode_names_moves(generator, mode):
    before = {n: p.detach().clone() for n, p in generator.model.named_parameters()}
    tuner = generator.finetune(mode=mode, **SETTINGS)
    run(tuner, 2, torch.Generator().manual_seed(0), generator.latent_shape)

    after = dict(generator.model.named_parameters())
    moved = {n for n, p in after.items() if n not in before or not torch.equal(p, before[n])}
    assert moved <= set(tuner.state())
    assert tuner.num_trainable == sum(p.numel() for p in after.values() if p.requires_grad)
    assert "pos_embed" not in tuner.state()


def test_a_restored_run_is_bit_equal_to_an_uninterrupted_one(generator, tmp_path):
    """Through the file formats of the store: tensors as safetensors, plain values as JSON."""
    shape = generator.latent_shape
    rng = torch.Generator().manual_seed(0)
    whole = generator.finetune(mode="difffit", **SETTINGS)
    whole_losses = run(whole, 3, rng, shape)
    saved, rng_state = whole.checkpoint(), rng.get_state()
    save_file({k: v for k, v in saved.items() if torch.is_tensor(v)}, tmp_path / "state.safetensors")
    (tmp_path / "state.json").write_text(json.dumps({k: v for k, v in saved.items() if not torch.is_tensor(v)}))
    whole_losses = run(whole, 3, rng, shape)
    expected = whole.checkpoint()

    resumed = generator.finetune(mode="difffit", **SETTINGS)
    resumed.restore(load_file(tmp_path / "state.safetensors") | json.loads((tmp_path / "state.json").read_text()))
    again = torch.Generator()
    again.set_state(rng_state)

    assert run(resumed, 3, again, shape) == whole_losses
    found = resumed.checkpoint()
    assert found.keys() == expected.keys()
    assert all(torch.equal(torch.as_tensor(found[k]), torch.as_tensor(expected[k])) for k in expected)


def test_a_checkpoint_before_the_first_step_restores_too(generator):
    tuner = generator.finetune(mode="bias", **SETTINGS)
    saved = tuner.checkpoint()
    first = run(tuner, 2, torch.Generator().manual_seed(0), generator.latent_shape)
    tuner.restore(saved)

    assert run(tuner, 2, torch.Generator().manual_seed(0), generator.latent_shape) == first


def test_a_checkpoint_of_another_mode_is_refused(generator):
    saved = generator.finetune(mode="bias", **SETTINGS).checkpoint()
    with pytest.raises(ValueError, match="does not match this training"):
        generator.finetune(mode="difffit", **SETTINGS).restore(saved)


def test_fine_tuning_always_starts_from_the_pretrained_weights(generator):
    first = run(
        generator.finetune(mode="difffit", **SETTINGS), 2, torch.Generator().manual_seed(0), generator.latent_shape
    )
    second = run(
        generator.finetune(mode="difffit", **SETTINGS), 2, torch.Generator().manual_seed(0), generator.latent_shape
    )
    assert first == second


def test_labels_are_dropped_once_per_sample_for_the_whole_network(generator):
    """With dropout 1, every label is the null class: the loss does not depend on the labels."""
    tuner = generator.finetune(mode="bias", **SETTINGS | {"label_dropout": 1.0})
    x0 = torch.randn(4, *generator.latent_shape, generator=torch.Generator().manual_seed(0))
    losses = [tuner.loss(x0, torch.full((4,), label), torch.Generator().manual_seed(1))[0] for label in (0, 1, 1000)]

    assert torch.equal(losses[0], losses[1])
    assert torch.equal(losses[0], losses[2])


def test_the_average_follows_its_formula():
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    ema = Ema([parameter], decay=0.9)
    parameter.data += 1.0
    ema.update()
    torch.testing.assert_close(ema.values[0], torch.tensor([1.1, 2.1]))
    ema.copy_to_parameters()
    torch.testing.assert_close(parameter.data, torch.tensor([1.1, 2.1]))
