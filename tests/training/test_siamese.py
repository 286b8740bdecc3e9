"""The augmentation of DM and DSA, in methods and in training: differentiable, and as the authors' code does it."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn import functional

from harness import Augmentation, Operation, draw_augmentation, draw_for_each

OPERATIONS = get_args(Operation)
FOLDER = Path(__file__).parents[1] / "golden" / "methods"
GOLDEN = json.loads((FOLDER / "dc_dsa.json").read_text())["diff_augment"]
ARRAYS = np.load(FOLDER / "dc_dsa.npz")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def some_images(num=3, side=8, seed=0):
    return torch.randn(num, 3, side, side, dtype=torch.float64, generator=rng(seed))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients_flow_through_every_operation(operation):
    images = some_images(2, 6).requires_grad_()
    augment = Augmentation(operation, (0.3, 0.7, 0.2))
    assert torch.autograd.gradcheck(augment, (images,))
    augment(images).sum().backward()
    assert (images.grad != 0).double().mean() > 0.5


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_batches_get_the_same_whatever_their_size(operation):
    """The k-th image of one batch becomes what it becomes in any other batch."""
    augment = draw_augmentation([operation], rng(3))
    many = some_images(5)
    together = augment(many)
    assert together.shape == many.shape
    for k in range(5):
        torch.testing.assert_close(augment(many[k : k + 1]), together[k : k + 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_chance_changes_what_happens(operation):
    made = [Augmentation(operation, (c, 1 - c, c))(some_images()) for c in (0.05, 0.45, 0.95)]
    assert not torch.equal(made[0], made[2])


def test_every_operation_is_drawn_as_often_and_each_draw_takes_four_numbers():
    stream = rng()
    drawn = [draw_augmentation(OPERATIONS, stream).operation for _ in range(3000)]
    counts = {operation: drawn.count(operation) for operation in OPERATIONS}
    assert all(400 < count < 600 for count in counts.values()), counts
    one, other = rng(), rng()
    draw_augmentation(OPERATIONS, one)
    draw_augmentation([], other)
    assert torch.equal(torch.rand(3, generator=one), torch.rand(3, generator=other))


def test_without_operations_the_images_stay_as_they_are():
    images = some_images()
    assert draw_augmentation([], rng())(images) is images


def test_a_crop_shifts_by_up_to_an_eighth_and_fills_with_the_mean():
    images = some_images(1, 16)
    shifted = Augmentation("crop", (0.999, 0.0, 0.0))(images)  # two pixels up, two to the right
    assert torch.equal(shifted[:, :, :14, 2:], images[:, :, 2:, :14])
    assert (shifted[:, :, 14:] == 0).all()
    assert (shifted[:, :, :, :2] == 0).all()


@pytest.mark.parametrize(("chance", "hole"), [((0.5, 0.5), (4, 12, 4, 12)), ((0.0, 0.999), (0, 4, 12, 16))])
def test_a_cutout_empties_half_the_side_and_may_hang_over_the_edge(chance, hole):
    images = some_images(1, 16)
    top, bottom, left, right = hole
    expected = images.clone()
    expected[:, :, top:bottom, left:right] = 0
    assert torch.equal(Augmentation("cutout", (*chance, 0.0))(images), expected)


def test_a_flip_mirrors_all_images_or_none():
    images = some_images()
    assert torch.equal(Augmentation("flip", (0.49, 0, 0))(images), images.flip(3))
    assert torch.equal(Augmentation("flip", (0.51, 0, 0))(images), images)


def test_colours_are_shifted_saturated_and_stretched_in_this_order():
    images = some_images()
    made = Augmentation("color", (0.7, 0.25, 0.9))(images)
    bright = images + 0.2
    grey = bright.mean(1, keepdim=True)
    saturated = grey + 0.5 * (bright - grey)
    mean = saturated.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(made, mean + 1.4 * (saturated - mean))


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_zoom_and_rotation_are_torchs_affine_grids_within_the_published_ranges(chance):
    images = some_images(2)
    ratio = 1 / 1.2 + chance * (1.2 - 1 / 1.2)
    angle = torch.tensor((2 * chance - 1) * 15.0).deg2rad()
    zoom = torch.tensor([[ratio, 0, 0], [0, ratio, 0]])
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0]])
    for operation, matrix in (("scale", zoom), ("rotate", turn)):
        grid = functional.affine_grid(matrix.double().expand(2, 2, 3), images.shape, align_corners=False)
        expected = functional.grid_sample(images, grid, align_corners=False)
        made = Augmentation(operation, (chance, chance, 0.0))(images)
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)


def golden_chance(case):
    """The uniform numbers behind the parameters of a golden case, [3, 4]; each image has its own column."""
    given, side = case["parameters_per_image"], ARRAYS["dsa/x"].shape[-1]
    most, size = int(side * 0.125 + 0.5), int(side * 0.5 + 0.5)
    if case["operation"] == "crop":
        rows = [
            [(shift + most + 0.5) / (2 * most + 1) for shift in given[name]] for name in ("shift_rows", "shift_cols")
        ]
    elif case["operation"] == "cutout":
        count = side + 1 - size % 2
        rows = [[(centre + 0.5) / count for centre in given[name]] for name in ("centre_row", "centre_col")]
    else:
        names = {"color": ("brightness_u", "saturation_u", "contrast_u"), "scale": ("u_x", "u_y")}
        rows = [given[name] for name in names.get(case["operation"], ("u",))]
    return torch.tensor([*rows, *[[0.5] * 4] * (3 - len(rows))], dtype=torch.float64)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["output"])
def test_images_become_those_of_the_authors_code(case):
    """Siamese: one chance for all images. Per image: each its own, as where networks are trained."""
    chance = golden_chance(case)
    numbers = tuple(chance[:, 0].tolist()) if case["siamese"] else tuple(chance)
    made = Augmentation(case["operation"], numbers)(torch.from_numpy(ARRAYS["dsa/x"]))
    expected = torch.from_numpy(ARRAYS[case["output"]])
    torch.testing.assert_close(made, expected, rtol=0, atol=GOLDEN["tolerance"]["absolute"])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_drawn_for_each_image_is_what_it_gets_alone(operation):
    """Other images of the batch do not matter, and not all get the same."""
    images, drawn = some_images(1, 16).expand(8, -1, -1, -1), draw_for_each([operation], 8, rng(1))
    together = drawn(images)
    for k in range(8):
        alone = Augmentation(operation, tuple(float(c[k]) for c in drawn.chance))(images[k : k + 1])
        torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=1e-6)
    assert not torch.equal(together, together[:1].expand(8, -1, -1, -1))
