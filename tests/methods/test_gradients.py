"""The distance of gradients: the authors' values, and several classes in one pass."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from methods import _pixels
from methods._gradients import gradient_distance, matching_distance
from methods._pixels import Mover, random_network

FOLDER = Path(__file__).parents[1] / "golden" / "methods"
GOLDEN = json.loads((FOLDER / "dc_dsa.json").read_text())
ARRAYS = np.load(FOLDER / "dc_dsa.npz")
KINDS = ("ours", "mse", "cos")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def some_images(num, side=16, seed=0):
    return torch.randn(num, 3, side, side, generator=rng(seed))


def build_net():
    return random_network("convnet2", 4, 16, rng(), option="dc.network")


def golden(name):
    return torch.from_numpy(ARRAYS[name])


def gradients(case, which):
    """A golden gradient list, of one class."""
    names = GOLDEN["match_loss"]["parameter_order"]
    return {name: golden(f"match{case}/{which}/{name}")[None] for name in names}


def near(value, expected, tolerance):
    """Judge by the largest expected value."""
    torch.testing.assert_close(value, expected, rtol=0, atol=tolerance * expected.abs().max().item())


@pytest.mark.parametrize("case", [0, 1])
def test_the_distances_are_those_of_the_authors_code(case):
    told, tolerance = GOLDEN["match_loss"]["cases"][case], GOLDEN["match_loss"]["tolerance"]
    real, made = gradients(case, "real"), gradients(case, "syn")
    for kind in KINDS:
        found = gradient_distance(real, made, kind).item()
        assert found == pytest.approx(told["loss"][kind], rel=tolerance["relative"])
    for name, expected in told["per_tensor"].items():
        both = [{n: g[n] for n in (name, "fc.weight")} for g in (real, made)]
        found = gradient_distance(*both, "ours").item() - (name != "fc.weight") * told["per_tensor"]["fc.weight"]
        assert found == pytest.approx(expected, rel=tolerance["relative"], abs=1e-5)


@pytest.mark.parametrize("case", [0, 1])
def test_the_gradient_of_our_distance_is_that_of_the_authors_code(case):
    real, made = gradients(case, "real"), gradients(case, "syn")
    leaves = [g.requires_grad_() for g in made.values()]
    found = torch.autograd.grad(gradient_distance(real, made, "ours"), leaves, allow_unused=True)
    for name, gradient in zip(made, found, strict=True):
        if name in GOLDEN["match_loss"]["cases"][case]["grad_ours_absent_for"]:
            assert gradient is None
        else:
            tolerance = GOLDEN["match_loss"]["tolerance"]["grad_relative_to_its_largest_value"]
            near(gradient[0], golden(f"match{case}/grad_ours/{name}"), tolerance)


def test_equal_gradients_have_no_distance_and_rows_of_zeros_one():
    one = {"w": torch.tensor([[[1.0, 2.0], [0.0, 0.0]]])}
    assert gradient_distance(one, one, "ours").item() == pytest.approx(1.0, abs=1e-6)
    assert gradient_distance(one, one, "cos").item() == pytest.approx(0.0, abs=1e-6)


@pytest.fixture
def step_network():
    """The network of the golden step: width 8, four classes, 16 pixels."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            blocks = []
            for c in (3, 8, 8):
                blocks += [nn.Conv2d(c, 8, 3, padding=1), nn.GroupNorm(8, 8), nn.ReLU(inplace=True), nn.AvgPool2d(2)]
            self.features, self.classifier = nn.Sequential(*blocks), nn.Linear(32, 4)

        def forward(self, images):
            return self.classifier(self.features(images).flatten(1))

    net = Net()
    net.load_state_dict({n: golden(f"step/weights/{n}") for n in GOLDEN["one_step"]["parameter_order"]})
    return net


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_step_on_images_is_that_of_the_authors_code(step_network, kind, at_once):
    """Alone, and in one pass with another class before it."""
    told, tolerance = GOLDEN["one_step"], GOLDEN["one_step"]["tolerance"]
    real, made = golden("step/real"), golden("step/syn").requires_grad_()
    other = matching_distance(step_network, [real[:3]], [some_images(2)], told["label"] - 1, kind)
    reals, mades, label = ([real], [made], told["label"])
    if at_once == 2:
        reals, mades, label = [real[:3], real], [some_images(2), made], told["label"] - 1
    distance = matching_distance(step_network, reals, mades, label, kind)
    assert (distance - (at_once - 1) * other).item() == pytest.approx(
        told["match_loss"][kind], rel=tolerance["loss_relative"]
    )
    (found,) = torch.autograd.grad(distance, [made])
    near(found, golden(f"step/grad_images_{kind}"), tolerance["gradient_relative_to_its_largest_value"])


def test_three_steps_move_the_images_as_in_the_authors_code(step_network):
    told, real, made = GOLDEN["one_step"], golden("step/real"), golden("step/syn").requires_grad_()
    mover, losses = Mover([made], lr=0.1, momentum=0.5), []
    for _ in range(3):
        distance = matching_distance(step_network, [real], [made], told["label"], "ours")
        losses.append(distance.item())
        distance.backward(inputs=[made])
        mover.step()
    assert losses == pytest.approx(told["losses_of_three_image_steps"], rel=told["tolerance"]["loss_relative"])
    moved, expected = made.detach() - golden("step/syn"), golden("step/syn_after_three_steps") - golden("step/syn")
    near(moved, expected, told["tolerance"]["gradient_relative_to_its_largest_value"])


@pytest.mark.parametrize("kind", KINDS)
def test_classes_in_one_pass_give_what_each_gives_alone(kind):
    """Classes of different sizes; the plain gradient of a loss is the reference. Tolerance: float32 sums in another order."""
    net = build_net()
    names = [name for name, _ in net.named_parameters()]
    real = [some_images(n, seed=n) for n in (5, 1, 3)]
    ours, theirs = ([some_images(2, seed=10 + k).requires_grad_() for k in range(3)] for _ in range(2))
    together, alone = matching_distance(net, real, ours, 1, kind), 0
    for label, (r, s) in enumerate(zip(real, theirs, strict=True), start=1):
        pair = []
        for images in (r, s):
            loss = functional.cross_entropy(net(images), torch.full((len(images),), label))
            found = torch.autograd.grad(loss, list(net.parameters()), create_graph=True)
            pair.append({name: g[None] for name, g in zip(names, found, strict=True)})
        alone = alone + gradient_distance({n: g.detach() for n, g in pair[0].items()}, pair[1], kind)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=0)
    for one, other in zip(torch.autograd.grad(together, ours), torch.autograd.grad(alone, theirs), strict=True):
        near(one, other, 1e-4)


@pytest.mark.parametrize("classes", [1, 2])
def test_real_images_pass_in_pieces_with_the_same_result(monkeypatch, classes):
    net, real, made = build_net(), [some_images(9), some_images(4)][:classes], [some_images(2, seed=1)] * classes
    whole = matching_distance(net, real, made, 0, "ours")
    monkeypatch.setattr(_pixels, "_PIXELS_AT_ONCE", {"cpu": 4 * 16 * 16})
    torch.testing.assert_close(matching_distance(net, real, made, 0, "ours"), whole, rtol=1e-4, atol=0)
