"""ConvNet-D, the small student of dataset distillation.

Source: golden/students.json ("convnet"); Gidaris and Komodakis, CVPR 2018, as used by IDC and Minimax Diffusion.
Shapes: B batch, C classes, D features, S image side.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.students.layers import HalvingPool, ReLU, fast_layout, make_norm
from harness.students.sizes import check_size, map_side
from harness.students.spec import Norm, StudentSpec

WIDTH = 128


class ConvNet(nn.Module):
    """`depth` blocks of [3x3 convolution with bias, norm, ReLU, average pooling by 2], width 128; one linear layer.

    Of grey images the first convolution pads 3 pixels in place of 1, so the maps are 4 pixels larger: 32 of a 28-pixel image.
    Paper/Code: the linear layer fits grey images of 28 and 32 pixels only. Here: it fits any side.

    Args:
        depth: number of blocks; each halves the side, rounded down.
        num_classes: C.
        image_size: S, pixels; images are square.
        norm: "instance" or "batch".
        channels: K, 3 (RGB) or 1 (grey).
    """

    channels_last = True

    def __init__(
        self, depth: int, num_classes: int, image_size: int, norm: Norm = "instance", channels: int = 3
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for i in range(depth):
            grey = i == 0 and channels == 1
            conv = nn.Conv2d(WIDTH if i else channels, WIDTH, kernel_size=3, padding=3 if grey else 1)
            blocks += [conv, make_norm(norm, WIDTH), ReLU(), HalvingPool()]
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(WIDTH * (map_side(image_size, channels) >> depth) ** 2, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Map normalised images [B, K, S, S] to the input of the linear layer, [B, D], channel-major."""
        return self.blocks(fast_layout(images) if self.channels_last else images).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [B, K, S, S] to logits [B, C]."""
        return self.classifier(self.features(images))


def build_convnet(spec: StudentSpec, num_classes: int, image_size: int) -> ConvNet:
    """Build ConvNet-D with the framework's default initialisation.

    Raises:
        UserError: the network is too deep for the images: its last feature map would be 0x0.
    """
    check_size(spec, image_size)
    assert spec.depth is not None
    return ConvNet(spec.depth, num_classes, image_size, spec.norm, spec.channels)
