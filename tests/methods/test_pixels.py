"""What methods share that learn pixels: their normalisation, their update, and what is kept of them."""

import pytest
import torch

from methods._pixels import Mover, PixelScale, convnet_for, draw_batch, finished


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_pixels_move_as_sgd_with_momentum_does_by_hand():
    pixels = torch.zeros(1, requires_grad=True)
    mover, place, speed = Mover([pixels], lr=0.1, momentum=0.5), 0.0, 0.0
    for gradient in (1.0, -2.0, 3.0):
        pixels.grad = torch.tensor([gradient])
        mover.step()
        speed = 0.5 * speed + gradient
        place -= 0.1 * speed
        assert pixels.item() == pytest.approx(place)
        assert pixels.grad is None


def test_the_depth_goes_by_the_size_as_in_the_field():
    depths = {8: 1, 16: 2, 28: 3, 32: 3, 64: 4, 128: 5, 224: 6, 256: 6}
    assert {side: convnet_for(side) for side in depths} == {s: f"convnet{d}" for s, d in depths.items()}


def test_images_are_normalised_by_their_own_mean_and_deviation():
    parts = [torch.randint(0, 200, (n, 3, 4, 4), dtype=torch.uint8, generator=rng(n)) for n in (3, 5)]
    scale = PixelScale(parts)
    images = torch.cat([scale.normalised(part) for part in parts])
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(images.std((0, 2, 3), correction=0), torch.ones(3))
    torch.testing.assert_close(scale.shares(images) * 255, torch.cat(parts).float(), rtol=0, atol=1e-3)
    grey = torch.full((2, 3, 4, 4), 7, dtype=torch.uint8)
    assert PixelScale([grey]).normalised(grey).abs().max() < 1e-4, "no division by zero"


def test_values_that_an_image_cannot_hold_are_clipped_and_counted():
    scale = PixelScale([torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 2, 2)])
    made = finished(["a"], [torch.tensor([-1.5, -1.001, 0, 1.5]).view(1, 1, 2, 2).expand(1, 3, 2, 2)], scale)
    assert made.images["a"][0, 0].flatten().tolist() == pytest.approx([0, 0, 0.5, 1])
    assert made.notes == ("50.0 % of the values lay outside [0, 1] and were clipped",)


def test_a_batch_is_different_images_and_all_of_them_where_there_are_fewer():
    images, stream = torch.arange(5), rng()
    drawn = [draw_batch(images, 3, stream) for _ in range(20)]
    assert all(len(d.unique()) == 3 for d in drawn)
    assert len({tuple(d.tolist()) for d in drawn}) > 10
    assert sorted(draw_batch(images, 9, stream).tolist()) == [0, 1, 2, 3, 4]
