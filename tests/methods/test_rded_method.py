"""RDED's choice of crops and their layout, against brute force and by hand. (Its protocol: tests/training/test_rded.py.)"""

import numpy as np
import pytest
import torch
from torch.nn import functional

from harness.core.errors import UserError
from methods.rded import RDED, centred, crop, draw_squares, mosaic, realism_order


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def brute_force_order(loss):
    """Round by round: each image's next best crop; within a round the lowest loss first."""
    num_crops, num = loss.shape
    per_image = [sorted(range(num_crops), key=lambda m, n=n: (loss[m, n], m)) for n in range(num)]
    order = []
    for k in range(num_crops):
        crops = [(loss[per_image[n][k], n], n, per_image[n][k]) for n in range(num)]
        order += [m * num + n for _, n, m in sorted(crops)]
    return order


def test_the_defaults_are_those_of_the_authors_as_the_docs_state_them():
    """docs/methods/rded.md, "What it does": 300 images, five crops each of 8 to 100 %, 2 x 2 patches above 64 pixels."""
    config = RDED.Config()
    assert (config.images_per_class, config.num_crops, config.crop_scale) == (300, 5, (0.08, 1.0))
    assert [RDED(config)._factor(side) for side in (32, 64, 65, 224)] == [1, 1, 2, 2]


@pytest.mark.parametrize("seed", range(3))
def test_the_best_crop_of_every_image_comes_first_and_then_the_next_best(seed):
    loss = np.random.default_rng(seed).integers(0, 6, (4, 7)).astype(np.float32)  # with ties
    assert realism_order(torch.from_numpy(loss)) == brute_force_order(loss)


def test_an_order_by_hand():
    loss = torch.tensor([[0.5, 0.2, 9.0], [0.1, 0.3, 0.4]])  # 2 crops of 3 images: best are 0.1, 0.2, 0.4
    assert realism_order(loss) == [3, 1, 5, 4, 0, 2]


@pytest.mark.parametrize(("factor", "side", "ipc"), [(1, 5, 3), (2, 6, 3), (2, 5, 2), (3, 11, 2), (4, 4, 1)])
def test_place_k_of_image_j_has_patch_k_times_ipc_plus_j(factor, side, ipc):
    """Brute force in numpy, pixel by pixel; where the side does not divide, the first rows and columns are larger."""
    size, rest = divmod(side, factor)
    patches = torch.randint(0, 256, (ipc * factor**2, 3, size, size), dtype=torch.uint8, generator=rng())
    lengths = [size + 1 if i < rest else size for i in range(factor)]
    starts = np.cumsum([0, *lengths])
    expected = np.zeros((ipc, 3, side, side), dtype=np.uint8)
    for j in range(ipc):
        for row in range(factor):
            for col in range(factor):
                patch = patches[(row * factor + col) * ipc + j].numpy()
                for y in range(lengths[row]):
                    for x in range(lengths[col]):
                        pixel = patch[:, y * size // lengths[row], x * size // lengths[col]]
                        expected[j, :, starts[row] + y, starts[col] + x] = pixel
    assert np.array_equal(mosaic(patches, ipc, factor, side).numpy(), expected)


def test_a_stretched_patch_is_torchs_nearest_neighbour():
    patches = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8, generator=rng())
    stretched = functional.interpolate(patches[:1].float(), size=(6, 6))
    assert torch.equal(mosaic(patches, 1, 2, 11)[0, :, :6, :6].float(), stretched[0])


def test_squares_lie_inside_the_image_and_their_area_is_uniform_in_the_scale():
    squares = draw_squares(4000, 64, (0.08, 1.0), rng())
    top, left, length = squares.unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (torch.maximum(top, left) + length <= 64).all()
    share = length.double() ** 2 / 64**2
    assert share.min() >= 0.07
    assert share.max() == 1
    assert abs(share.mean().item() - 0.54) < 0.02, "the middle of 0.08 and 1"


def test_a_square_is_cut_where_it_says_and_resized_as_torch_does():
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=rng())
    made = crop(images, torch.tensor([[2, 1, 4], [0, 0, 8]]), 4)
    assert torch.equal(made[0], images[0, :, 2:6, 1:5])
    whole = functional.interpolate(images[1:].float(), size=(4, 4), mode="bilinear", antialias=True)
    assert torch.equal(made[1:], whole.round().to(torch.uint8))


def test_a_patch_is_scored_in_the_middle_of_the_mean_colour():
    patch = torch.full((1, 3, 2, 2), 9, dtype=torch.uint8)
    image = centred(patch, 5, torch.tensor([1, 2, 3], dtype=torch.uint8))[0]
    assert image[:, 1:3, 1:3].eq(9).all(), "the larger margin is below and on the right"
    assert image[:, 0].eq(torch.tensor([1, 2, 3])[:, None]).all()
    assert image[0].eq(9).sum() == 4


def loss_of(task, images, label):
    logits = task.teacher().label(images)
    return functional.cross_entropy(logits, torch.full((len(images),), label), reduction="none")


def test_the_chosen_crops_have_a_lower_loss_than_random_ones(make_task):
    """One crop is no choice, and 500 patches from 125 images take all; few out of many are the teacher's favourites."""
    task = make_task("synthesize", "rded")
    chosen = RDED(RDED.Config(num_crops=8)).synthesize(task, None, 5).images
    for c in task.classes:
        random = crop(task.real.images(c.id), draw_squares(task.real.num_per_class[c.id], 16, (0.08, 1.0), rng(1)), 16)
        losses = loss_of(task, chosen[c.id], c.label)
        assert losses.max() < loss_of(task, random, c.label).median()
        assert (losses.diff() >= 0).all(), "the most realistic first"


def test_the_teachers_column_is_the_label_in_the_suites_class_list(make_task):
    """The third class alone is judged as class 2 of ten, not as class 0 of one."""
    every = make_task("synthesize", "rded")
    alone = make_task("synthesize", "rded", classes=every.classes[2:3])
    alone.scope = every.scope  # the same random streams
    method = RDED(RDED.Config())
    c = alone.classes[0]
    assert torch.equal(method.synthesize(alone, None, 2).images[c.id], method.synthesize(every, None, 2).images[c.id])


def test_more_patches_than_images_take_further_crops_before_any_repeats(make_task):
    task = make_task("synthesize", "rded")
    images = RDED(RDED.Config(factor=2, num_crops=3)).synthesize(task, None, 90).images
    for c in task.classes:
        patches = images[c.id].unflatten(2, (2, 8)).unflatten(4, (2, 8)).permute(0, 2, 4, 1, 3, 5).reshape(360, -1)
        count = task.real.num_per_class[c.id]
        assert count < 360 <= 3 * count
        assert len(patches.unique(dim=0)) > 350, "crops may be equal by chance, at 8 pixels"


def test_a_class_that_is_out_of_crops_repeats_them(make_task):
    task = make_task("synthesize", "rded")
    images = RDED(RDED.Config(num_crops=1)).synthesize(task, None, 300).images
    for c in task.classes:
        count = task.real.num_per_class[c.id]
        assert torch.equal(images[c.id][count : 2 * count], images[c.id][:count])


def test_small_images_are_one_crop_each_and_the_number_of_patches_must_fit(make_task):
    assert [RDED()._factor(side) for side in (16, 32, 64, 128, 224)] == [1, 1, 1, 2, 2]
    with pytest.raises(UserError, match=r"rded\.factor is 17.*16 pixels"):
        RDED(RDED.Config(factor=17)).synthesize(make_task("synthesize", "rded"), None, 1)
    with pytest.raises(ValueError, match="0 < low <= high"):
        RDED.Config(crop_scale=(0.9, 0.1))
