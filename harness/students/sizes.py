"""Which images the built-in students can take, from their names alone: planning checks this without torch."""

from __future__ import annotations

import math

from harness.core.errors import UserError
from harness.students.spec import StudentSpec

FAMILIES = ("convnet", "resnet", "resnet_ap")
"""Students whose layers are known from their names."""


def check_size(spec: StudentSpec, image_size: int) -> None:
    """Refuse images that a student of `FAMILIES` is too deep for.

    Args:
        spec: with the channels of the images.
        image_size: side of the images, pixels.

    Raises:
        UserError: nothing is left of them in its last stage, or instance norm would see single pixels.
    """
    if spec.family == "convnet":
        _check_convnet(spec, image_size)
    else:
        _check_resnet(spec, image_size)


def map_side(image_size: int, channels: int) -> int:
    """Return the side of the first convolution's maps, pixels: grey images are padded by 3, which adds 4."""
    return image_size + 4 if channels == 1 else image_size


def _check_convnet(spec: StudentSpec, image_size: int) -> None:
    assert spec.depth is not None
    side = map_side(image_size, spec.channels)
    if side >> spec.depth < 1:
        deepest = side.bit_length() - 1
        raise UserError(
            f"student {spec.name!r} halves the image {spec.depth} times, which leaves a 0x0 feature map for "
            f"{image_size}x{image_size} pixels. Use at most convnet{deepest}, or images of "
            f"{2**spec.depth - side + image_size} pixels or more."
        )


def last_side(spec: StudentSpec, image_size: int) -> int:
    """Return the side of the last stage's feature map, pixels: pooling rounds down, strides round up."""
    pooled, side = spec.family == "resnet_ap", image_size
    if spec.variant == "imagenet" and image_size > 64:
        halvings = 2 if image_size > 128 else 1
        side = side // 2**halvings if pooled else math.ceil(side / 2**halvings)
    return side // 8 if pooled else math.ceil(side / 8)


def _check_resnet(spec: StudentSpec, image_size: int) -> None:
    side = last_side(spec, image_size)
    advice = "Use larger images (at least 16 pixels) or a student with fewer stages, e.g. convnet2"
    if side < 1:
        raise UserError(
            f"student {spec.name!r} halves the image three times, which leaves a 0x0 feature map for "
            f"{image_size}x{image_size} pixels. {advice}."
        )
    if side == 1 and spec.norm == "instance":
        raise UserError(
            f"student {spec.name!r} reaches 1x1 pixels in its last stage from {image_size}x{image_size} images: "
            "instance norm subtracts a single pixel from itself, so every feature is constant and the accuracy stays "
            f"exactly at chance. Use batch norm ({spec.name}_bn). Or: {advice[0].lower()}{advice[1:]}."
        )
