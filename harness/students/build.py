"""Build a student network from its name.

In: a name, the number of classes, the image side, the channels. Out: an `nn.Module` with `forward` and `features`, on
the CPU, with fresh weights drawn from torch's global generator. It never learns which method made the images.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from harness.core.errors import UserError
from harness.students.spec import StudentSpec, parse, students


def build_student(name: str, num_classes: int, image_size: int, channels: int = 3) -> nn.Module:
    """Return a freshly initialised student.

    Args:
        name: such as "convnet3", "resnet_ap10_cifar_bn", "timm:mobilenetv3_small_100", or a registered name.
        num_classes: C, outputs of the last layer.
        image_size: side of the square images, pixels.
        channels: K of the images, 3 (RGB) or 1 (grey).

    Returns:
        A module: `forward` maps [B, K, S, S] to logits [B, C], `features` to the input of the last linear layer [B, D].

    Raises:
        UserError: the name is unknown, or the network cannot take images of that size.
    """
    if num_classes < 1 or image_size < 1:
        raise UserError(f"student {name!r}: {num_classes} classes and {image_size} pixels must both be at least 1")
    spec = replace(parse(name), channels=channels)
    model = students.get(spec.family)(spec, num_classes, image_size)
    _check(model, spec, num_classes, image_size)
    return model


def _check(model: nn.Module, spec: StudentSpec, num_classes: int, image_size: int) -> None:
    """Try the network on one black image: a misfit is told here, by name, and not by a traceback inside a layer."""
    if not callable(getattr(model, "features", None)):
        raise UserError(
            f"student {spec.name!r} ({type(model).__name__}) has no `features(images)`; add a method that returns the "
            "input of its last linear layer, [batch, features]"
        )
    training = model.training
    try:
        with torch.no_grad():
            images = torch.zeros(1, spec.channels, image_size, image_size)
            model.eval()
            logits, features = model(images), model.features(images)  # type: ignore[operator]
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        what = f"{image_size}x{image_size} images" if spec.channels == 3 else f"grey {image_size}x{image_size} images"
        unasked = spec.channels == 1 and "channels" in str(error)
        cure = ". Its first layer must have `spec.channels` inputs" if unasked else ""
        raise UserError(f"student {spec.name!r} cannot take {what}: {error}{cure}") from error
    finally:
        model.train(training)
    if tuple(logits.shape) != (1, num_classes) or features.ndim != 2:
        raise UserError(
            f"student {spec.name!r} returns logits {list(logits.shape)} and features {list(features.shape)} for one "
            f"image; expected [1, {num_classes}] and [1, D]"
        )
