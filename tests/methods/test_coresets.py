"""The greedy coresets against orders worked out by hand and by brute force."""

import torch

from methods.herding import herding_order
from methods.k_center import k_center_order


def test_herding_takes_the_point_that_brings_the_running_mean_closest():
    points = torch.tensor([[0.0], [1.0], [2.0], [9.0]])  # mean 3
    assert herding_order(points, 4) == [2, 1, 3, 0]


def test_herding_equals_brute_force_and_is_nested():
    points = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    order: list[int] = []
    for _ in range(6):
        rest = [i for i in range(12) if i not in order]
        gaps = [(points.mean(0) - points[[*order, i]].mean(0)).norm().item() for i in rest]
        order.append(rest[gaps.index(min(gaps))])
    assert herding_order(points, 6) == order
    assert herding_order(points, 3) == order[:3]


def test_k_center_begins_next_to_the_mean_and_goes_to_the_farthest():
    points = torch.tensor([[0.0], [4.0], [5.0], [10.0], [-3.0]])  # mean 3.2: nearest is 4
    assert k_center_order(points, 5) == [1, 4, 3, 0, 2]


def test_a_coreset_larger_than_the_class_is_the_whole_class():
    points = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    assert sorted(herding_order(points, 9)) == [0, 1, 2]
    assert sorted(k_center_order(points, 9)) == [0, 1, 2]
