"""The parts of SRe2L and CDA against the authors' code (golden/methods/sre2l_cda)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.training.soft_labels import SoftLabels
from methods._batch_norm import Objective, mean_norm, total_variation
from methods._recovery import PixelRange, Recovery, learning_rate
from methods._views import View, crop_box, draw_view
from methods.sre2l import CDA, SRe2L

HERE = Path(__file__).parents[1] / "golden" / "methods"
GOLDEN = json.loads((HERE / "sre2l_cda.json").read_text())
ARRAYS = {name: torch.from_numpy(array) for name, array in np.load(HERE / "sre2l_cda.npz").items()}
CIFAR = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.2010)}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


class Net(nn.Module):
    """The network of the golden file."""

    def __init__(self, fc="net/fc"):
        super().__init__()
        widths = [3, 6, 8, 10]
        for i in (1, 2, 3):
            setattr(self, f"conv{i}", nn.Conv2d(widths[i - 1], widths[i], 3, 1 if i == 1 else 2, 1, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(widths[i]))
        self.fc = nn.Linear(10, 4)
        weights = {k.removeprefix("net/"): v for k, v in ARRAYS.items() if k.startswith("net/")}
        weights |= {f"fc.{name}": ARRAYS[f"{fc}.{name}"] for name in ("weight", "bias")}
        self.load_state_dict(weights, strict=False)
        self.eval().requires_grad_(False)

    def forward(self, x):
        for i in (1, 2, 3):
            x = torch.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        return self.fc(x.mean(dim=(2, 3)))


def same(actual, expected, relative=1e-5):
    """Equal relative to the largest expected value."""
    expected = torch.as_tensor(expected, dtype=torch.float32)
    torch.testing.assert_close(torch.as_tensor(actual), expected, rtol=0, atol=relative * float(expected.abs().max()))


def test_the_losses_and_their_gradients_are_the_authors():
    golden, x = GOLDEN["loss_terms"], ARRAYS["x"].clone().requires_grad_()
    given = golden["settings"]
    config = SRe2L.Config(tv=given["tv_l2"], l2=given["l2_scale"], r_bn=given["r_bn"])
    assert config.first_bn_multiplier == given["first_bn_multiplier"]
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with Objective(net, config) as objective:
        losses = objective(x, ARRAYS["labels"])
        tolerance = golden["tolerance_relative"]
        for place, expected in enumerate(golden["r_feature_per_layer"]):
            assert objective.distances[place].item() == pytest.approx(expected, rel=tolerance)
    for actual, name in (
        (losses.batch_norm, "r_bn_total_with_first_layer_multiplier"),
        (losses.cross_entropy, "ce"),
        (losses.total, "loss"),
        (total_variation(x), "tv_l2"),
        (mean_norm(x), "l2"),
    ):
        assert actual.item() == pytest.approx(golden[name], rel=tolerance), name
    same(torch.autograd.grad(losses.batch_norm, x, retain_graph=True)[0], ARRAYS["grad_r_bn_total"])
    same(torch.autograd.grad(losses.total, x)[0], ARRAYS["grad_loss"])
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_the_networks_layers_are_left_alone_afterwards():
    net = Net()
    with Objective(net, SRe2L.Config()) as objective:
        objective(ARRAYS["x"], ARRAYS["labels"])
    objective.distances.clear()
    net(ARRAYS["x"])
    assert not objective.distances


def test_a_teacher_without_batch_norm_is_refused_by_name():
    with pytest.raises(UserError, match=r"\(Linear\) has no batch-norm layer.*`teacher`, such as convnet3_bn"):
        Objective(nn.Linear(2, 2), SRe2L.Config())


@pytest.mark.parametrize("case", GOLDEN["learning_rate_at_iteration"])
def test_the_learning_rate_is_the_authors(case):
    lr, steps = (float(word) for word in case.removeprefix("lr ").removesuffix(" iterations").split(", "))
    for step, expected in GOLDEN["learning_rate_at_iteration"][case].items():
        assert learning_rate(int(step), int(steps), lr) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("case", GOLDEN["cda_min_crop"]["cases"], ids=lambda c: f"{c['mode']} {c['milestone']}")
def test_the_least_crop_is_the_authors(case):
    method = CDA(CDA.Config(milestone=case["milestone"], curriculum=case["mode"], iterations=case["iterations"]))
    for step, expected in case["min_crop_at_iteration"].items():
        assert method._min_crop(int(step)) == pytest.approx(expected, rel=1e-9)
        assert SRe2L()._min_crop(int(step)) == 0.08


@pytest.mark.parametrize("name", ["imagenet", "tiny_imagenet", "cifar"])
def test_the_bounds_are_the_authors(name):
    protocols = {
        "imagenet": Protocol(),
        "tiny_imagenet": Protocol(mean=(0.4802, 0.4481, 0.3975), std=(0.2302, 0.2265, 0.2262)),
        "cifar": Protocol(**CIFAR),
    }
    pixels, golden = PixelRange(protocols[name]), GOLDEN["clip_bounds_per_channel"][name]
    same(pixels.low.flatten(), golden["low"], 1e-6)
    same(pixels.high.flatten(), golden["high"], 1e-6)


def test_pixels_are_clipped_after_a_step_and_stored_rounded():
    """A learning rate of 1e-30 moves nothing. The authors truncate: at most one level lower."""
    pixels = PixelRange(Protocol())
    with Objective(Net(), SRe2L.Config()) as objective:
        recovery = Recovery(ARRAYS["clip/in"].unbind(), [0, 1], objective, pixels, 1e-30, 1)
        recovery.step(View((0, 0, 4, 4), 4))
    same(recovery.images.detach(), ARRAYS["clip/imagenet"], 1e-6)
    shares = pixels.shares(recovery.images.detach())
    same(shares, ARRAYS["clip/denormalized"], 1e-6)
    ours = (shares[0] * 255).round()
    lower = ours - ARRAYS["clip/saved_uint8"].permute(2, 0, 1)
    assert set(lower.unique().tolist()) == {0.0, 1.0}


def test_a_shift_is_the_authors():
    golden = GOLDEN["jitter"]["example"]
    image = torch.tensor(golden["row_major_4x5"]).view(1, 1, 4, 5)
    shifted = View((0, 0, 4, 5), 4, shift=tuple(golden["off"]))(image)
    assert shifted.flatten().tolist() == golden["rolled"]


def test_shifts_are_drawn_from_zero_to_the_largest_both_included():
    drawn = [draw_view(rng(seed), 16, 16, min_crop=None, flip=False, jitter=4) for seed in range(200)]
    assert {s for view in drawn for s in view.shift} == {0, 1, 2, 3, 4}
    assert {view.box for view in drawn} == {(0, 0, 16, 16)}
    assert not any(view.flip for view in drawn)


def test_six_steps_are_the_authors():
    """Their noise and offsets in, their images out: loss, schedule, shift, clip and Adam in their order."""
    golden = GOLDEN["whole_run"]
    given, offsets = golden["settings"], [tuple(o) for o in golden["roll_offsets_rows_cols_per_iteration"]]
    size, steps, expected = given["batch_size"], given["iterations"], iter(golden["ce_per_iteration"])
    pixels, tolerance = PixelRange(Protocol(**CIFAR)), golden["tolerance"]
    with Objective(Net("run/fc"), SRe2L.Config(r_bn=given["r_bn"])) as objective:
        for batch in range(given["classes"] // size):
            start, labels = ARRAYS[f"run/init_batch{batch}"].clone(), range(batch * size, (batch + 1) * size)
            recovery = Recovery(start.unbind(), list(labels), objective, pixels, given["lr"], steps)
            for step, shift in enumerate(offsets[batch * steps : (batch + 1) * steps]):
                losses = recovery.step(View((0, 0, 12, 12), 12, shift=shift))
                ce, lr = next(expected), recovery.adam.param_groups[0]["lr"]
                assert losses.cross_entropy.item() == pytest.approx(ce, rel=tolerance["ce_relative"])
                assert lr == pytest.approx(golden["learning_rate_per_iteration"][step], rel=1e-9)
            made = pixels.shares(recovery.images.detach())
            difference = (made - ARRAYS[f"run/result_batch{batch}"]).abs().max().item()
            assert difference < tolerance["images_absolute"]


def test_the_defaults_are_those_of_the_authors_imagenet_script():
    argparse, script = GOLDEN["defaults"]["sre2l_argparse"], GOLDEN["defaults"]["sre2l_imagenet_script"]
    for config in (SRe2L.Config(), CDA.Config()):
        assert (config.lr, config.iterations, config.r_bn) == (script["lr"], script["iteration"], script["r_bn"])
        assert (config.l2, config.tv) == (script["l2_scale"], script["tv_l2"])
        assert config.first_bn_multiplier == argparse["first_bn_multiplier"]
        assert config.classes_at_once == argparse["batch_size"]
        assert config.min_crop == 0.08
    assert (CDA.Config().milestone, CDA.Config().curriculum, CDA.Config().crop) == (1.0, "cosine", True)


@pytest.mark.parametrize(("side", "jitter", "crops"), [(32, 4, False), (64, 4, True), (224, 32, True)])
def test_crops_and_shifts_follow_the_side_as_in_the_authors_scripts(side, jitter, crops, make_task):
    task = make_task("synthesize", "sre2l")
    task.image_size = side
    teacher = SoftLabels(Net(), Protocol(), 0)
    views = [SRe2L()._view(task, teacher, "0/0", step) for step in range(300)]
    assert max(shift for view in views for shift in view.shift) == jitter
    assert any(view.box != (0, 0, side, side) for view in views) == crops
    assert any(view.flip for view in views) == crops


@pytest.mark.parametrize("new", [16, 11, 20])
@pytest.mark.parametrize("box", [(2, 3, 9, 7), (0, 0, 16, 16), (10, 1, 5, 15)])
def test_a_crop_is_cut_and_resized_as_torch_does_it(box, new):
    images, (top, left, height, width) = torch.randn(2, 3, 16, 16, generator=rng()), box
    cut = images[:, :, top : top + height, left : left + width]
    expected = functional.interpolate(cut, size=(new, new), mode="bilinear", antialias=True)
    torch.testing.assert_close(View(box, new)(images), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(View(box, new, flip=True)(images), expected.flip(-1), rtol=0, atol=1e-5)


def test_crops_have_torchvisions_areas_and_ratios():
    boxes = [draw_view(rng(seed), 224, 224, min_crop=0.08, flip=True, jitter=0).box for seed in range(2000)]
    top, left, height, width = torch.tensor(boxes, dtype=torch.float64).unbind(1)
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 224
    share, ratio = height * width / 224**2, width / height
    assert share.min() > 0.07
    assert abs(share.mean() - 0.48) < 0.02, "large crops fit more seldom, so below the middle of 0.08 and 1"
    assert 0.73 < ratio.min() < ratio.max() < 1.37
    assert abs(ratio.log().mean()) < 0.02


def test_the_first_size_that_fits_is_taken_and_else_the_whole_image():
    wide, square = (1.0, 0.999), (0.25, 0.5)
    assert crop_box([*wide, *square * 9], (0.0, 0.99), 16, 0.0) == (0, 8, 8, 8)
    assert crop_box(wide * 10, (0.5, 0.5), 16, 0.08) == (0, 0, 16, 16)
    assert crop_box([*(0.3, 0.2) * 9, 0.3, 0.5], (0.9, 0.9), 64, 1.0) == (0, 0, 64, 64), "at 1 no other fits"
