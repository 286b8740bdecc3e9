"""The pooling that replaces torch's on the CPU."""

import pytest
import torch
from torch import nn

from harness.students.layers import HalvingPool


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 3, 7, 5), (1, 1, 2, 2), (2, 4, 3, 10)])
def test_halving_equals_average_pooling_forward_and_backward(shape):
    ours = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    first, second = HalvingPool()(ours), nn.AvgPool2d(2)(theirs)
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-6)
    weights = torch.randn(first.shape, generator=torch.Generator().manual_seed(1))
    (first * weights).sum().backward()
    (second * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-6)


def test_two_halvings_equal_average_pooling_by_4_on_odd_sides():
    maps = torch.randn(2, 3, 23, 30, generator=torch.Generator().manual_seed(0))
    twice = HalvingPool()(HalvingPool()(maps))
    torch.testing.assert_close(twice, nn.AvgPool2d(4)(maps), rtol=1e-6, atol=1e-6)


def test_other_types_and_layouts_take_torchs_kernel():
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    last = maps.contiguous(memory_format=torch.channels_last)
    assert torch.equal(HalvingPool()(last), nn.functional.avg_pool2d(last, 2))
    assert HalvingPool()(maps.bfloat16()).dtype == torch.bfloat16
