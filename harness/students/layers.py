"""Layers that several students share. Shapes: B batch, W width (channels), H x L feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.students.spec import Norm


def make_norm(norm: Norm, num_channels: int) -> nn.Module:
    """Return the norm of a student, eps 1e-5: GroupNorm with one group per channel, or batch norm."""
    return nn.GroupNorm(num_channels, num_channels) if norm == "instance" else nn.BatchNorm2d(num_channels)


class HalvingPool(nn.Module):
    """Average pooling by 2, equal to `nn.AvgPool2d(2)` within float32 rounding; bfloat16 maps are summed in float32.

    torch's CPU kernel is not vectorised: summing rows and then columns takes a quarter of its time forward and half of
    it backward, which makes a step 7 to 9 % shorter (ConvNet-3 at 16 pixels: 57 to 52 ms); in bfloat16 half of its time
    forward and a quarter for both. Elsewhere, and for other types, torch's own kernel runs.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Map [B, W, H, L] to [B, W, H // 2, L // 2]; an odd last row or column is left out."""
        if maps.device.type != "cpu" or maps.dtype not in (torch.float32, torch.bfloat16) or not maps.is_contiguous():
            return functional.avg_pool2d(maps, 2)
        height, length = maps.shape[2] // 2, maps.shape[3] // 2
        pairs = maps[:, :, : 2 * height, : 2 * length].unflatten(2, (height, 2))
        rows = pairs[:, :, :, 0].float() + pairs[:, :, :, 1]
        return ((rows[..., 0::2] + rows[..., 1::2]) * 0.25).to(maps.dtype)
