"""The pooling, norm and activation that replace torch's on the CPU."""

import pytest
import torch
from torch import nn

from harness.students.build import build_student
from harness.students.layers import HalvingPool, ReLU, make_norm


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


def _maps(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [7, 32])
def test_instance_norm_with_channels_last_is_group_norm_in_both_derivatives_and_without_any(side):
    norm, theirs = make_norm("instance", 6), nn.GroupNorm(6, 6)
    for one in (norm, theirs):
        nn.init.uniform_(one.weight, 0.5, 1.5, generator=torch.Generator().manual_seed(1))
        nn.init.normal_(one.bias, generator=torch.Generator().manual_seed(2))
    found = []
    for layer, maps in ((norm, _maps(3, 6, side, side)), (theirs, _maps(3, 6, side, side).contiguous())):
        maps.requires_grad_()
        first = torch.autograd.grad(layer(maps).pow(3).sum(), [maps, layer.weight, layer.bias], create_graph=True)
        second = torch.autograd.grad(first[0].square().sum() + first[1].square().sum(), [maps, layer.weight])
        with torch.no_grad():
            found.append([layer(maps), *first, *second])
    for ours, other in zip(*found, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())


@pytest.mark.parametrize("student", ["convnet3", "resnet10", "resnet_ap10", "convnet3_bn"])
@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3)])
def test_bfloat16_lays_maps_out_channels_last_and_gives_the_same_logits(student, side, channels):
    """Tolerance: logits are sums of thousands of products, each rounded to 8 bits."""
    torch.manual_seed(0)
    net, images = build_student(student, 10, side, channels), torch.randn(4, channels, side, side)
    seen = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, given, maps: seen.append(maps.is_contiguous()))
    exact = net(images)
    assert all(seen)
    seen.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(net(images).float(), exact, rtol=0, atol=0.02 * exact.abs().max().item())
        assert not any(seen)
        net.channels_last = False
        seen.clear()
        net(images)
        assert all(seen)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_relu_equals_torchs_for_every_kind_of_number(dtype, grad):
    tiny = torch.finfo(dtype).smallest_normal
    values = torch.tensor([-torch.inf, -1e30, -1.0, -tiny, -tiny / 4, -0.0, 0.0, tiny / 4, tiny, 1.0, 1e30, torch.inf])
    maps = torch.cat([values.to(dtype), torch.randn(1012, generator=torch.Generator().manual_seed(0)).to(dtype)])
    expected = nn.functional.relu(maps)
    with torch.set_grad_enabled(grad):
        given = maps.view(4, 4, 8, 8).contiguous(memory_format=torch.channels_last)
        found = ReLU()(given)
    assert found.data_ptr() == given.data_ptr()
    assert torch.equal(found.flatten(), expected)
