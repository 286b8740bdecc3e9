"""Layers that several students share. Shapes: B batch, W width (channels), H x L feature map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.students.spec import Norm


def make_norm(norm: Norm, num_channels: int) -> nn.Module:
    """Return the norm of a student, eps 1e-5: GroupNorm with one group per channel, or batch norm."""
    return InstanceNorm(num_channels, num_channels) if norm == "instance" else nn.BatchNorm2d(num_channels)


def fast_layout(images: Tensor) -> Tensor:
    """Return images [B, K, H, L] as a network is fastest on them: channels last on a CPU in bfloat16.

    There the convolutions, norms and pools of large maps take half the time, or less. Not in float32, whose rounding would
    change; not below 28 pixels, where it saves nothing; not while compiling, which chooses layouts itself. A network whose
    `channels_last` is False leaves its images as they are.
    """
    narrow = images.device.type == "cpu" and torch.is_autocast_enabled("cpu") and images.shape[-1] >= _LAST_FROM
    return images.to(memory_format=torch.channels_last) if narrow and not torch.compiler.is_compiling() else images


_LAST_FROM = 28
"""Side in pixels."""


class InstanceNorm(nn.GroupNorm):
    """`nn.GroupNorm` with one group per channel; fast on maps whose channels come last."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map [B, W, H, L] to the same shape."""
        if maps.is_contiguous() or maps.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(maps)
        if not torch.is_grad_enabled() and maps.shape[-2] * maps.shape[-1] >= _FAST_GROUPS:
            return super().forward(maps)
        own = [
            functional.batch_norm(one, None, None, self.weight, self.bias, True, eps=self.eps) for one in maps.split(1)
        ]
        return torch.cat(own)


_FAST_GROUPS = 1024
"""Pixels of a map. Of fewer, and in the backward pass always, torch's group norm is 20 times slower with channels last than
batch norm image by image, which computes the same."""


class ReLU(nn.ReLU):
    """`nn.ReLU` in place; without gradients, bfloat16 maps on a CPU take a quarter of the time.

    torch widens each bfloat16 to float32 for it. Read as whole numbers of 16 bits, the negative ones are the same.
    """

    def __init__(self) -> None:
        super().__init__(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [B, W, H, L] to the same shape, in place."""
        narrow = maps.dtype == torch.bfloat16 and maps.device.type == "cpu"
        if not narrow or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(maps)
        maps.view(torch.int16).clamp_min_(0)
        return maps


class HalvingPool(nn.Module):
    """Average pooling by 2, equal to `nn.AvgPool2d(2)` within float32 rounding; bfloat16 maps are summed in float32.

    torch's CPU kernel is not vectorised, and autograd would keep several maps of full size for sums of slices. Elsewhere,
    and for other types, torch's own kernel runs.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Map [B, W, H, L] to [B, W, H // 2, L // 2]; an odd last row or column is left out."""
        known = maps.device.type == "cpu" and maps.dtype in (torch.float32, torch.bfloat16) and maps.is_contiguous()
        if not known or torch.compiler.is_compiling():  # a compiler fuses torch's own with what is around it
            return functional.avg_pool2d(maps, 2)
        return _Halve.apply(maps)


class _Halve(torch.autograd.Function):
    """Means of 2 x 2 pixels: rows are summed and then columns; every pixel gets a quarter of the gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(maps: Tensor) -> Tensor:
        height, length = maps.shape[-2] // 2, maps.shape[-1] // 2
        pairs = maps[..., : 2 * height, : 2 * length].unflatten(-2, (height, 2))
        rows = pairs[..., 0, :].float() + pairs[..., 1, :]
        return ((rows[..., 0::2] + rows[..., 1::2]) * 0.25).to(maps.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.odd = inputs[0].shape[-1] % 2, inputs[0].shape[-2] % 2

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        quarter, rows = grad * 0.25, grad.new_empty(*grad.shape[:-1], 2 * grad.shape[-1])
        rows[..., 0::2] = quarter
        rows[..., 1::2] = quarter
        full = torch.stack((rows, rows), dim=-2).flatten(-3, -2)
        return functional.pad(full, (0, ctx.odd[0], 0, ctx.odd[1])) if any(ctx.odd) else full
