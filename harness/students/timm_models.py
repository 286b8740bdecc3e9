"""Any timm model as a student, untrained and with its own norms. Importing this loads no timm, which takes seconds.

Shapes: B batch, C classes, D features, S image side.
"""

from __future__ import annotations

import difflib
from typing import Any

from torch import Tensor, nn

from harness.core.errors import UserError
from harness.students.spec import StudentSpec


class TimmStudent(nn.Module):
    """A timm model with the students' two functions.

    Args:
        net: a timm model with a classifier of C outputs.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net: Any = net

    def features(self, images: Tensor) -> Tensor:
        """Map normalised images [B, K, S, S] to what enters the classifier, [B, D]."""
        return self.net.forward_head(self.net.forward_features(images), pre_logits=True)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [B, K, S, S] to logits [B, C]."""
        return self.net.forward_head(self.net.forward_features(images))


def check_name(timm_name: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        UserError: with the closest names that timm has.
    """
    import timm

    if timm.is_model(timm_name):
        return
    close = difflib.get_close_matches(timm_name, timm.list_models(), n=3, cutoff=0.5)
    hint = f" Similar: {', '.join(f'timm:{name}' for name in close)}." if close else ""
    raise UserError(f"timm {timm.__version__} has no model {timm_name!r}.{hint} timm.list_models() lists all names.")


def build_timm(spec: StudentSpec, num_classes: int, image_size: int) -> TimmStudent:
    """Build an untrained timm model; the image size is passed only to models that are built for one size.

    Raises:
        UserError: timm has no such model, or cannot build it for images of that size.
    """
    import timm

    assert spec.timm_name is not None
    check_name(spec.timm_name)
    config = timm.get_pretrained_cfg(spec.timm_name)
    sized: dict[str, Any] = {"img_size": image_size} if config is not None and config.fixed_input_size else {}
    try:
        net = timm.create_model(
            spec.timm_name, pretrained=False, num_classes=num_classes, in_chans=spec.channels, **sized
        )
    except (AssertionError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(
            f"student {spec.name!r} cannot be built for {image_size}x{image_size} images: {error}. Choose a model for "
            "small images, or use larger images."
        ) from error
    return TimmStudent(net)
