"""ConvNet-D, the small student of dataset distillation.

Source: golden/students.json ("convnet"); Gidaris and Komodakis, CVPR 2018, as used by IDC and Minimax Diffusion.
Shapes: B batch, C classes, D features, S image side.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.core.errors import UserError
from harness.students.layers import HalvingPool, make_norm
from harness.students.spec import Norm, StudentSpec

WIDTH = 128


class ConvNet(nn.Module):
    """`depth` blocks of [3x3 convolution with bias, norm, ReLU, average pooling by 2], width 128; one linear layer.

    Paper/Code: a 28-pixel image is padded to 32 by the first convolution, for grey images only (for colour images the
    linear layer does not fit). Here: no special case, because students see RGB images and the layer is sized to fit.

    Args:
        depth: number of blocks; each halves the side, rounded down.
        num_classes: C.
        image_size: S, pixels; images are square.
        norm: "instance" or "batch".
    """

    def __init__(self, depth: int, num_classes: int, image_size: int, norm: Norm = "instance") -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for i in range(depth):
            conv = nn.Conv2d(3 if i == 0 else WIDTH, WIDTH, kernel_size=3, padding=1)
            blocks += [conv, make_norm(norm, WIDTH), nn.ReLU(inplace=True), HalvingPool()]
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(WIDTH * (image_size >> depth) ** 2, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Map normalised images [B, 3, S, S] to the input of the linear layer, [B, D], channel-major."""
        return self.blocks(images).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [B, 3, S, S] to logits [B, C]."""
        return self.classifier(self.features(images))


def build_convnet(spec: StudentSpec, num_classes: int, image_size: int) -> ConvNet:
    """Build ConvNet-D with the framework's default initialisation.

    Raises:
        UserError: the network is too deep for the images: its last feature map would be 0x0.
    """
    assert spec.depth is not None
    if image_size >> spec.depth < 1:
        deepest = image_size.bit_length() - 1
        raise UserError(
            f"student {spec.name!r} halves the image {spec.depth} times, which leaves a 0x0 feature map from "
            f"{image_size}x{image_size} pixels. Use at most convnet{deepest}, or images "
            f"of {2**spec.depth} pixels or more."
        )
    return ConvNet(spec.depth, num_classes, image_size, spec.norm)
