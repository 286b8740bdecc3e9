"""Names as papers write them."""

from __future__ import annotations

import re

_FAMILIES = {"convnet": "ConvNet", "resnet": "ResNet", "resnet_ap": "ResNetAP"}


def student_title(name: str) -> str:
    """Return "ResNetAP-10" for resnet_ap10, with "(CIFAR)" and "(BN)" for its suffixes; "NAME (timm)" for timm:NAME; other
    names as they are."""
    found = re.fullmatch(r"(convnet|resnet_ap|resnet)(\d+)((?:_cifar|_bn)*)", name)
    if found is None:
        return f"{name.removeprefix('timm:')} (timm)" if name.startswith("timm:") else name
    marks = ["CIFAR"] * ("_cifar" in found[3]) + ["BN"] * ("_bn" in found[3])
    return f"{_FAMILIES[found[1]]}-{found[2]}" + (f" ({', '.join(marks)})" if marks else "")
