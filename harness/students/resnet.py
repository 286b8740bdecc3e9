"""ResNet of basic blocks, and ResNetAP: the same with average pooling in place of strides.

Source: golden/students.json ("resnet", "resnet_ap", "initialisation").
Shapes: B batch, C classes, D features, S image side.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from harness.students.layers import HalvingPool, ReLU, fast_layout, make_norm
from harness.students.sizes import check_size
from harness.students.spec import Norm, StudentSpec

_BLOCKS_PER_STAGE = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_WIDTHS = {"imagenet": (64, 128, 256, 512), "cifar": (32, 64, 128, 256)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; `stride` 2 halves the side: by strides, or by pooling if `pooled`."""

    def __init__(self, in_width: int, width: int, stride: int, norm: Norm, pooled: bool) -> None:
        super().__init__()
        conv_stride = 1 if pooled else stride
        pool: list[nn.Module] = [HalvingPool()] if pooled and stride == 2 else []
        self.residual = nn.Sequential(
            nn.Conv2d(in_width, width, kernel_size=3, stride=conv_stride, padding=1, bias=False),
            make_norm(norm, width),
            ReLU(),
            *pool,
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            make_norm(norm, width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2 or in_width != width:
            conv = nn.Conv2d(in_width, width, kernel_size=1, stride=conv_stride, bias=False)
            self.shortcut = nn.Sequential(conv, *pool, make_norm(norm, width))
        self.relu = ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_width, H, W] to [B, width, H / stride, W / stride]."""
        return self.relu(self.residual(x) + self.shortcut(x))


class ResNet(nn.Module):
    """Stem, four stages of basic blocks, global average pooling, one linear layer.

    Args:
        spec: depth, norm, variant, channels K, and family "resnet" (strides) or "resnet_ap" (average pooling).
        num_classes: C.
        image_size: S, pixels; it decides the stem.
    """

    channels_last = True

    def __init__(self, spec: StudentSpec, num_classes: int, image_size: int) -> None:
        super().__init__()
        widths, pooled = _WIDTHS[spec.variant], spec.family == "resnet_ap"
        self.stem = nn.Sequential(*_stem(spec, widths[0], image_size))
        blocks: list[nn.Module] = []
        in_width = widths[0]
        for stage, (width, count) in enumerate(zip(widths, _blocks_per_stage(spec), strict=True)):
            for i in range(count):
                blocks.append(BasicBlock(in_width, width, 2 if stage > 0 and i == 0 else 1, spec.norm, pooled))
                in_width = width
        self.stages = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(in_width, num_classes)
        _initialise(self)

    def features(self, images: Tensor) -> Tensor:
        """Map normalised images [B, K, S, S] to the input of the linear layer, [B, D]."""
        return self.pool(self.stages(self.stem(fast_layout(images) if self.channels_last else images))).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [B, K, S, S] to logits [B, C]."""
        return self.classifier(self.features(images))


def build_resnet(spec: StudentSpec, num_classes: int, image_size: int) -> ResNet:
    """Build a ResNet or ResNetAP.

    Raises:
        UserError: the images are too small: nothing is left of them, or instance norm would see single pixels.
    """
    check_size(spec, image_size)
    return ResNet(spec, num_classes, image_size)


def _blocks_per_stage(spec: StudentSpec) -> tuple[int, ...]:
    """Blocks in each of four stages; cifar: (depth - 2) // 6 as in the code, though that rule is made for three."""
    assert spec.depth is not None
    return ((spec.depth - 2) // 6,) * 4 if spec.variant == "cifar" else _BLOCKS_PER_STAGE[spec.depth]


def _stem(spec: StudentSpec, width: int, image_size: int) -> list[nn.Module]:
    """Layers before the first stage: a 7x7 convolution and a pool for large images, 3x3 for small ones."""
    pooled = spec.family == "resnet_ap"
    large = image_size > 128 and spec.variant == "imagenet"
    kernel, stride = (7, 1 if pooled else 2) if large else (3, 1)
    layers = [
        nn.Conv2d(spec.channels, width, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False),
        make_norm(spec.norm, width),
        ReLU(),
    ]
    if image_size > 64 and spec.variant == "imagenet":
        by_4 = [HalvingPool(), HalvingPool()]
        layers += (by_4 if large else by_4[:1]) if pooled else [nn.MaxPool2d(3, stride=2, padding=1)]
    return layers


def _initialise(net: nn.Module) -> None:
    """Convolutions: normal with std sqrt(2 / (k * k * out_channels)); norms: 1 and 0; linear layer: the default."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan_out))
        elif isinstance(module, nn.GroupNorm | nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
