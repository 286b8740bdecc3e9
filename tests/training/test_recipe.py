"""Epochs, learning rates and evaluations against golden/protocol.json, and where our rule goes beyond it."""

import json
from pathlib import Path

import pytest

from harness.core.config.protocol import ByIpc, Protocol
from harness.core.errors import UserError
from harness.core.suites import load_suite
from harness.training import make_recipe, resolve_protocol
from harness.training.recipe import eval_epochs

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "protocol.json").read_text(encoding="utf-8"))
ROWS = GOLDEN["epoch_table"]


@pytest.mark.parametrize("row", ROWS, ids=[f"ipc{r['ipc']}-classes{r['nclass']}" for r in ROWS])
def test_idc_follows_the_reference_for_every_ipc(row):
    recipe = make_recipe(resolve_protocol("idc"), row["ipc"], row["nclass"])

    assert recipe.epochs == row["epochs"]
    assert recipe.lr == row["lr"]
    assert list(recipe.milestones) == row["lr_milestones"]
    assert len(recipe.eval_epochs) == row["n_evaluations"]
    assert (recipe.eval_epochs[0], recipe.eval_epochs[-1]) == (row["first_eval_epoch"], row["last_eval_epoch"])
    assert {b - a for a, b in zip(recipe.eval_epochs, recipe.eval_epochs[1:], strict=False)} == {row["eval_every"]}
    for epoch, lr in row["lr_at_epoch"].items():
        assert recipe.lr_at(int(epoch)) == pytest.approx(lr, rel=1e-12)


def test_idc_has_the_settings_of_the_reference():
    protocol, golden = resolve_protocol("idc"), GOLDEN["protocol"]
    transforms = {t["op"]: t for t in golden["train_transform"]}

    assert (protocol.lr, protocol.momentum) == (golden["optimizer"]["lr"], golden["optimizer"]["momentum"])
    assert protocol.weight_decay == golden["optimizer"]["weight_decay"]
    assert protocol.lr_decay == golden["lr_schedule"]["gamma"]
    assert protocol.batch_size == golden["batch_size"]
    assert protocol.cutmix_probability == golden["cutmix"]["probability_per_batch"]
    assert protocol.cutmix_beta == golden["cutmix"]["beta"]
    assert list(protocol.crop_scale) == transforms["random_resized_crop"]["scale"]
    assert list(protocol.crop_ratio) == transforms["random_resized_crop"]["ratio"]
    assert protocol.color_jitter == transforms["color_jitter"]["contrast"]
    assert protocol.pca_lighting == transforms["pca_lighting"]["alpha_std"]
    assert list(protocol.mean) == transforms["normalize"]["mean"]
    assert list(protocol.std) == transforms["normalize"]["std"]


def test_above_100_classes_the_reference_switches_optimiser_settings():
    golden = GOLDEN["overrides"]["nclass_greater_than_100"]
    recipe = make_recipe(resolve_protocol("idc"), 10, 101)
    assert (recipe.lr, recipe.weight_decay, recipe.batch_size) == (golden["lr"], golden["weight_decay"], 128)
    assert recipe.epochs == 2000  # the cut to two thirds holds at exactly 100 classes only
    assert make_recipe(resolve_protocol("idc", {"batch_size": 256}), 10, 1000).batch_size == 256


def test_at_100_classes_optimiser_settings_stay():
    recipe = make_recipe(resolve_protocol("idc"), 10, 100)
    assert (recipe.lr, recipe.weight_decay, recipe.batch_size) == (0.01, 5e-4, 64)


def test_the_switches_for_many_classes_can_be_turned_off():
    off = {"scale_epochs_at_100_classes": False, "switch_above_100_classes": False}
    assert make_recipe(resolve_protocol("idc", off), 10, 100).epochs == 2000
    assert make_recipe(resolve_protocol("idc", off), 10, 1000).lr == 0.01


@pytest.mark.parametrize("num", [10, 100])
def test_cifar_is_trained_by_the_rules_that_the_reference_has_for_it(num):
    golden = GOLDEN["overrides"]["cifar10_cifar100"]
    suite = load_suite(f"cifar{num}_lt").suite
    idc = resolve_protocol("idc", suite.protocol_overrides["idc"])
    recipes = [make_recipe(idc, ipc, num) for ipc in (1, 10, 50)]

    assert {r.epochs for r in recipes} == {golden["epochs"]}
    assert {r.eval_epochs for r in recipes} == {(golden["eval_every"],)}
    assert idc.cutmix_probability == golden["cutmix_probability"]
    assert suite.side == golden["input_size"]
    assert golden["train_transform"] == ["to_tensor", "normalize"]
    assert (idc.crop_scale, idc.flip, idc.color_jitter, idc.pca_lighting) == (None, False, 0, 0)
    assert (list(idc.mean), list(idc.std)) == (golden["mean"], golden["std"])
    assert resolve_protocol("plain", suite.protocol_overrides["plain"]) == idc.model_copy(
        update={"name": "plain", "cutmix_probability": 0.0}
    )


def test_one_number_of_epochs_stands_for_every_ipc():
    plain = resolve_protocol("idc", {"epochs": 100})
    assert plain == resolve_protocol("idc", {"epochs": {"up_to": [], "above": 100}})
    assert {make_recipe(plain, ipc, 10).epochs for ipc in (1, 10, 1000)} == {100}
    for wrong in (0, 1.5, "many", True):
        with pytest.raises(UserError, match="epochs"):
            resolve_protocol("idc", {"epochs": wrong})


def test_rounding_to_no_epoch_at_all_is_refused():
    short = Protocol(epochs=ByIpc(up_to=(), above=24))
    with pytest.raises(UserError, match=r"24 epochs become 0.*scale_epochs_at_100_classes"):
        make_recipe(short, 10, 100)


@pytest.mark.parametrize(("ipc", "num_classes"), [(0, 10), (-1, 10), (1, 0)])
def test_no_images_or_no_classes_are_refused(ipc, num_classes):
    with pytest.raises(UserError, match="above 0"):
        make_recipe(Protocol(), ipc, num_classes)


@pytest.mark.parametrize("epochs", [1, 3, 7, 99, 100, 101, 250, 3000])
@pytest.mark.parametrize("num", [1, 4, 100])
def test_there_are_as_many_evaluations_as_asked_for_and_the_last_is_at_the_end(epochs, num):
    """The best of more evaluations is another number, so their count must not depend on divisibility."""
    chosen = eval_epochs(epochs, num)
    assert len(set(chosen)) == len(chosen) == min(num, epochs)
    assert chosen[0] >= 1
    assert chosen[-1] == epochs
    gaps = [b - a for a, b in zip((0, *chosen), chosen, strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_milestones_round_down_without_float_errors():
    for epochs in range(1, 4000):
        recipe = make_recipe(Protocol(epochs=ByIpc(up_to=(), above=epochs), num_evaluations=1), 1, 10)
        assert recipe.milestones == (2 * epochs // 3, 5 * epochs // 6)


def test_a_mean_ipc_between_two_rows_takes_the_next_row():
    assert make_recipe(Protocol(), 10.5, 10).epochs == 1500
