"""Student names: from "resnet_ap10_cifar_bn" to a checked `StudentSpec`, and the registry of those who build them.

In: a name. Out: its parts, or a `UserError` that says what the name should be. No torch: listing students is instant.
It never builds a network; `harness.students.build` does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.core.errors import UserError, did_you_mean
from harness.core.registry import Registry

if TYPE_CHECKING:
    from torch import nn

Norm = Literal["instance", "batch"]
Variant = Literal["imagenet", "cifar"]


@dataclass(frozen=True)
class StudentSpec:
    """One student, taken apart.

    Attributes:
        name: as the user wrote it, such as "resnet_ap10_cifar".
        family: who builds it: a built-in family ("convnet", "resnet", "resnet_ap", "timm") or a registered name.
        depth: the number in the name; None for timm models and for registered names without one.
        norm: "instance" (GroupNorm with one group per channel) or, with the suffix `_bn`, "batch".
        variant: "imagenet" (widths 64 to 512) or, with the suffix `_cifar`, "cifar" (widths 32 to 256).
        timm_name: the model's name in timm; None for the others.
        channels: of the images: 3 (RGB) or 1 (grey); a builder reads it for its first layer.
    """

    name: str
    family: str
    depth: int | None = None
    norm: Norm = "instance"
    variant: Variant = "imagenet"
    timm_name: str | None = None
    channels: int = 3


StudentBuilder = Callable[[StudentSpec, int, int], "nn.Module"]
"""(spec, number of classes, image side in pixels) -> a network with `forward` (logits [B, C]), `features` ([B, D])."""

RESNET_DEPTHS = (10, 18, 34)
"""Depths of torchvision-like ResNets made of basic blocks; deeper ones have bottlenecks and come from timm."""

_BUILT_IN = {
    "convnet": (
        "convnet<D>",
        "D x [3x3 convolution, instance norm, ReLU, average pooling], width 128; convnet3_bn: batch norm",
    ),
    "resnet": ("resnet<D>", "ResNet of basic blocks with instance norm, D = 10, 18, 34; resnet18_bn, resnet18_cifar"),
    "resnet_ap": ("resnet_ap<D>", "ResNet with average pooling instead of strides; resnet_ap10_bn, resnet_ap10_cifar"),
    "timm": (
        "timm:NAME",
        "any timm model, untrained, with its own normalisation layers; e.g. timm:mobilenetv3_small_100",
    ),
}
_EXAMPLES = ("convnet3", "convnet4", "convnet6", "resnet10", "resnet18", "resnet34", "resnet_ap10", "resnet_ap18")
_SUFFIXES = {"_cifar", "_bn"}

_TITLES = {"convnet": "ConvNet", "resnet": "ResNet", "resnet_ap": "ResNetAP"}
"""Families as papers call them; `register_student` adds its own."""

students: Registry[StudentBuilder] = Registry(
    "student",
    {
        "convnet": "harness.students.convnet:build_convnet",
        "resnet": "harness.students.resnet:build_resnet",
        "resnet_ap": "harness.students.resnet:build_resnet",
        "timm": "harness.students.timm_models:build_timm",
    },
)


def register_student(name: str, *, title: str = "") -> Callable[[StudentBuilder], StudentBuilder]:
    """Return a decorator that makes a builder available as student `name`; `title` is what papers call it ("MyNet").

    The name also works with a depth and the suffixes `_cifar` and `_bn` behind it ("mynet", "mynet8_bn"): the builder
    finds them in the spec, with the `channels` that the first layer takes, 3 or 1. The network needs
    `features(images) -> [B, D]`, the input of its last linear layer.

    Raises:
        UserError: the name is built in, already used, or has other characters than lower-case letters, digits and underscores.
    """
    if name in _BUILT_IN:
        raise UserError(f"student {name!r} is built in; choose another name")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"student name {name!r} may have only lower-case letters, digits and underscores")
    if title:
        _TITLES[name] = title
    return students.register(name)


def titles_of(names: Iterable[str]) -> dict[str, str]:
    """Return each student's name as papers write it: "ResNetAP-10" for resnet_ap10 and resnet_ap10_cifar, "(BN)" for _bn.

    "(CIFAR)" stands behind the narrow variant only where the wide one of the same name is among `names`. A name that
    nobody registered here, as in a run of somebody else, stays as it is.
    """
    found = {name: _title(name, widths=False) for name in names}
    shared = Counter(found.values())
    return {name: _title(name, widths=True) if shared[title] > 1 else title for name, title in found.items()}


def _title(name: str, *, widths: bool) -> str:
    try:
        spec = parse(name)
    except UserError:
        return name
    if spec.timm_name:
        return f"{spec.timm_name} (timm)"
    title = _TITLES.get(spec.family, spec.family)
    depth = f"-{spec.depth}" if spec.depth is not None else ""
    marks = ["CIFAR"] * (widths and spec.variant == "cifar") + ["BN"] * (spec.norm == "batch")
    return f"{title}{depth}" + (f" ({', '.join(marks)})" if marks else "")


def catalogue() -> list[tuple[str, str]]:
    """Return (name, description) of every student family, built-in ones first; imports no torch."""
    own = [name for name in students.names() if name not in _BUILT_IN]
    return [*_BUILT_IN.values(), *((name, _first_line(students.get(name))) for name in own)]


def parse(name: str) -> StudentSpec:
    """Take a student's name apart.

    Raises:
        UserError: nobody builds a student of that name, or the family has no such depth or variant.
    """
    if name.startswith("timm:"):
        if name == "timm:":
            raise UserError("student 'timm:' has no model name; write e.g. timm:mobilenetv3_small_100")
        return StudentSpec(name, "timm", timm_name=name.removeprefix("timm:"))
    if name in students and name not in _BUILT_IN:
        return StudentSpec(name, name)
    match = re.fullmatch(r"(?P<family>[a-z][a-z0-9_]*?)(?P<depth>\d+)?(?P<suffixes>(?:_cifar|_bn)*)", name)
    family = match["family"] if match else ""
    if match is None or family not in students or family == "timm":
        raise _unknown(name)
    spec = StudentSpec(
        name,
        family,
        depth=int(match["depth"]) if match["depth"] else None,
        norm="batch" if "_bn" in match["suffixes"] else "instance",
        variant="cifar" if "_cifar" in match["suffixes"] else "imagenet",
    )
    if any(match["suffixes"].count(suffix) > 1 for suffix in _SUFFIXES):
        raise UserError(f"student {name!r} has the same suffix twice")
    if family in _BUILT_IN:
        _check_built_in(spec)
    return spec


def norm_of(name: str) -> Norm | None:
    """Return the norm of a built-in student; None: that of timm models and registered students shows once they are built.

    Raises:
        UserError: nobody builds a student of that name.
    """
    spec = parse(name)
    return spec.norm if spec.family in _BUILT_IN and spec.family != "timm" else None


def _check_built_in(spec: StudentSpec) -> None:
    """Refuse depths and variants that a built-in family does not have."""
    pattern, _ = _BUILT_IN[spec.family]
    if spec.depth is None:
        example = next(name for name in _EXAMPLES if name.rstrip("0123456789") == spec.family)
        raise UserError(f"student {spec.name!r} needs a depth, e.g. {example} ({pattern})")
    if spec.family == "convnet":
        if spec.depth < 1:
            raise UserError(f"student {spec.name!r}: a ConvNet needs at least one layer, e.g. convnet3")
        if spec.variant == "cifar":
            raise UserError(f"student {spec.name!r}: ConvNets have no _cifar variant; write convnet{spec.depth}")
    elif spec.variant == "cifar":
        if spec.depth < 8:
            raise UserError(
                f"student {spec.name!r}: the _cifar variant needs a depth of at least 8 (one block per stage)"
            )
    elif spec.depth not in RESNET_DEPTHS:
        raise UserError(
            f"student {spec.name!r}: {pattern} has only basic blocks, with depths "
            f"{', '.join(map(str, RESNET_DEPTHS))}. For bottleneck ResNets use timm, e.g. timm:resnet50."
        )


def _unknown(name: str) -> UserError:
    own = [known for known in students.names() if known not in _BUILT_IN]
    known = [*_EXAMPLES, *(f"{example}{s}" for example in _EXAMPLES for s in ("_bn", "_cifar", "_cifar_bn")), *own]
    patterns = ", ".join([*(pattern for pattern, _ in _BUILT_IN.values()), *own])
    hint = did_you_mean(name.lower().replace("-", ""), known)
    return UserError(f"unknown student {name!r}.{hint} Known: {patterns}; suffixes _cifar and _bn (batch norm).")


def _first_line(builder: StudentBuilder) -> str:
    return (builder.__doc__ or "").strip().partition("\n")[0]
