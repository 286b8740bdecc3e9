"""The classic evaluations and those that follow them (dc, dsa, ltdd, sre2l), against what the authors' code was seen to do."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from harness.training.batches import make_batches
from harness.training.protocols import resolve_protocol
from harness.training.recipe import make_recipe
from harness.training.siamese import Augmentation
from harness.training.trainer import train_student

FOLDER = Path(__file__).parents[1] / "golden" / "methods"
DC = json.loads((FOLDER / "dc_dsa.json").read_text())["evaluation_schedule"]["runs"]
LTDD = json.loads((FOLDER / "protocols.json").read_text())["ltdd"]
FKD = json.loads((FOLDER / "labels.json").read_text())["fkd_learning_rate"]["cases"]
SCHEDULES = {
    "dc": next(run for run in DC if run["E"] == 300),
    "dsa": next(run for run in DC if run["E"] == 1000),
    "ltdd": next(run for run in LTDD["schedule"] if run["E"] == 1000),
}


def by_epoch(golden):
    """Return the learning rate of every epoch."""
    return [run["lr"] for run in golden["runs_of_equal_lr_and_optimizer"] for _ in range(run["epochs"])]


@pytest.mark.parametrize("num_classes", [10, 100, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_epoch_has_the_learning_rate_of_the_authors(name, num_classes):
    """Whatever the number of images and classes: idc's rules for 100 and more are not theirs."""
    golden, recipe = SCHEDULES[name], make_recipe(resolve_protocol(name), 10, num_classes)
    assert recipe.epochs == golden["training_epochs"]
    assert [recipe.lr_at(epoch) for epoch in range(1, recipe.epochs + 1)] == pytest.approx(by_epoch(golden), rel=1e-12)
    assert recipe.restarts == {run["first_epoch"] + 1 for run in golden["runs_of_equal_lr_and_optimizer"][1:]}
    assert recipe.eval_epochs == (recipe.epochs,), "final accuracy: the test split is visited once"
    assert recipe.weight_decay == golden["weight_decay"]


@pytest.mark.parametrize(("name", "batch"), [("dc", 256), ("dsa", 256), ("ltdd", 128)])
def test_settings_are_the_authors(name, batch):
    protocol = resolve_protocol(name)
    assert make_recipe(protocol, 50, 10).batch_size == batch
    assert (protocol.optimizer, protocol.momentum, protocol.labels) == ("sgd", 0.9, "hard")
    assert protocol.dsa == (() if name == "dc" else ("color", "crop", "cutout", "flip", "scale", "rotate"))
    assert protocol.whitening == ("zca" if name == "ltdd" else "none")
    rest = (protocol.cutmix_probability, protocol.patch_shuffle, protocol.crop_scale, protocol.flip)
    assert (*rest, protocol.color_jitter, protocol.pca_lighting) == (0, 1, None, False, 0, 0)


def test_sre2l_follows_the_cosine_of_the_authors_and_is_scored_every_ten_epochs():
    golden = next(case for case in FKD if case["cos"])
    recipe = make_recipe(resolve_protocol("sre2l"), 10, 1000)
    assert recipe.epochs == golden["epochs"]
    for epoch, factor in golden["factor_at_epoch"].items():
        assert recipe.lr_at(int(epoch) + 1) == pytest.approx(0.001 * factor, rel=1e-9)
    assert recipe.eval_epochs == tuple(range(10, 301, 10))
    assert (recipe.batch_size, recipe.weight_decay) == (1024, 0.01)


def pictures(num=20, channels=3):
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num, channels, 8, 8), dtype=torch.uint8, generator=rng)
    return images, torch.arange(num) % 10


def train(protocol, **more):
    images, labels = pictures()
    return train_student(
        student="convnet1", protocol=protocol, train_images=images, train_labels=labels, test_images=images[:4],
        test_labels=labels[:4], num_classes=10, seed=0, **more,
    )  # fmt: skip


def test_momentum_starts_from_zero_where_the_learning_rate_falls():
    """golden: a new optimiser after epoch E // 2 + 1. One step an epoch, 20 images in a batch of 256."""
    before, after = [], []
    hooks = [
        register_optimizer_step_pre_hook(lambda optimizer, args, kwargs: before.append(buffers(optimizer))),
        register_optimizer_step_post_hook(
            lambda optimizer, args, kwargs: after.append((optimizer, buffers(optimizer)))
        ),
    ]
    _, result = train(resolve_protocol("dc", {"epochs": 8, "lr_milestones": [5 / 8]}))
    for hook in hooks:
        hook.remove()

    golden = next(run for run in DC if run["E"] == 7)
    assert len(after) == golden["training_epochs"] == result.num_steps
    starts = [epoch for epoch, buffer in enumerate(before) if buffer is None]
    assert starts == [run["first_epoch"] for run in golden["runs_of_equal_lr_and_optimizer"]]
    assert len({id(optimizer) for optimizer, _ in after}) == 2
    assert [optimizer.param_groups[0]["lr"] for optimizer, _ in after[4:6]] == pytest.approx([0.01, 0.001])


def buffers(optimizer):
    """Return the momentum of the first weights; None where it is zero still."""
    state = optimizer.state.get(optimizer.param_groups[0]["params"][0], {})
    return state.get("momentum_buffer")


def test_without_a_restart_momentum_goes_on():
    starts = []
    hook = register_optimizer_step_pre_hook(lambda optimizer, args, kwargs: starts.append(buffers(optimizer) is None))
    train(resolve_protocol("dc", {"epochs": 8, "restart_optimizer": False}))
    hook.remove()
    assert starts == [True] + [False] * 7


def test_each_batch_draws_one_operation_and_each_image_its_own_share_of_it(monkeypatch):
    seen = []
    call = Augmentation.__call__
    monkeypatch.setattr(
        Augmentation, "__call__", lambda self, images: seen.append((self, images)) or call(self, images)
    )
    protocol = resolve_protocol("dsa", {"epochs": 30, "batch_size": 8})
    train(protocol)

    assert len(seen) == 30 * 3, "one a batch"
    assert {drawn.operation for drawn, _ in seen} == set(protocol.dsa)
    assert [len(drawn.chance[0]) for drawn, _ in seen[:3]] == [8, 8, 4]
    assert all(len(set(number.tolist())) == len(number) for drawn, _ in seen for number in drawn.chance)
    assert all(images.is_floating_point() and images.min() < 0 for _, images in seen), "on normalised images"


def test_what_is_drawn_is_a_stream_of_its_own():
    """Equal for equal seeds, whatever else the protocol draws."""

    def operations(**changes):
        protocol = resolve_protocol("dsa", {"batch_size": 4, **changes})
        batches = make_batches(protocol, make_recipe(protocol, 2, 10), torch.arange(20) % 10, 8, seed=3)
        return [(one.operation, one.chance[0].tolist()) for number in (1, 2) for one in batches.epoch(number).siamese]

    assert operations() == operations(flip=True, cutmix_probability=1.0, crop_scale=[0.5, 1.0], patch_shuffle=2)
    assert len({name for name, _ in operations()}) > 1


def test_a_training_under_dsa_repeats_bit_by_bit_and_is_not_that_of_dc():
    protocol = resolve_protocol("dsa", {"epochs": 4})
    states = [nn.utils.parameters_to_vector(train(p)[0].parameters()) for p in (protocol, protocol)]
    assert torch.equal(*states)
    other = train(resolve_protocol("dsa", {"epochs": 4, "dsa": []}))[0]
    assert not torch.equal(states[0], nn.utils.parameters_to_vector(other.parameters()))


@pytest.mark.parametrize("operation", ["color", "crop", "cutout", "flip", "scale", "rotate"])
@pytest.mark.parametrize("channels", [1, 4])
def test_operations_take_any_number_of_channels(operation, channels):
    images = torch.randn(3, channels, 8, 8, generator=torch.Generator().manual_seed(1))
    chance = tuple(torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64) for _ in range(3))
    made = Augmentation(operation, chance)(images)
    assert made.shape == images.shape
    if operation != "color":  # channel by channel
        each = [Augmentation(operation, chance)(images[:, c : c + 1]) for c in range(channels)]
        torch.testing.assert_close(made, torch.cat(each, 1))
