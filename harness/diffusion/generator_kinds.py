"""The kinds of generator that a suite may offer: how the `prior` job trains one, and how a task opens one.

A method names a kind in `needs` ("text_to_image_generator"), a suite offers it under `generators`; the engine knows
both by this registry only. Adding a kind is one file like harness/diffusion/class_conditional.py, and its line below.
The options of each kind's training are in `harness.core.config.generator.GENERATOR_TRAINING`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.classes import ClassInfo
from harness.core.config.generator import GeneratorSpec
from harness.core.progress import CurveCallback, ProgressCallback
from harness.core.registry import Registry

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PriorInputs:
    """What training a generator starts from.

    Attributes:
        images_u8, labels: the real training images [N, K, S, S], K = 3 or 1, and labels [N].
        spec: the suite's generator; its `train` holds the options.
        classes: the suite's classes in label order.
        out_folder: where the pipeline is written.
        device: where to train.
        report: told the steps done.
        log: told the losses.
    """

    images_u8: torch.Tensor
    labels: torch.Tensor
    spec: GeneratorSpec
    classes: Sequence[ClassInfo]
    out_folder: Path
    device: str
    report: ProgressCallback
    log: CurveCallback


@dataclass(frozen=True)
class GeneratorKind:
    """How a kind of generator is trained (returning metrics), checked and opened.

    `check` takes the suite's spec with located places, the suite's classes, the generator's own class ids in its label
    order (where it has labels), the suite's image size and its channels; it reads no tensor. `load` takes a pipeline's
    place, the spec, classes and class ids, the device, what is told the progress of a download (None: nobody), and the
    channels of the suite's images.
    """

    train: Callable[[PriorInputs], dict[str, float]]
    check: Callable[[GeneratorSpec, Sequence[ClassInfo], Sequence[str], int, int], None]
    load: Callable[[str, GeneratorSpec, Sequence[ClassInfo], Sequence[str], str, ProgressCallback | None, int], Any]


generator_kinds: Registry[GeneratorKind] = Registry(
    "kind of generator",
    {
        "class_conditional": "harness.diffusion.class_conditional:KIND",
        "text_to_image": "harness.diffusion.text_conditional:KIND",
    },
)


def check_generator(
    kind: str,
    spec: GeneratorSpec,
    classes: Sequence[ClassInfo],
    labels: Sequence[str],
    image_size: int,
    channels: int,
) -> None:
    """Check that a generator fits its suite: pre-trained weights as far as they are on this machine, or the sizes of one
    that is trained; quick, before any job.

    Raises:
        UserError: it does not.
    """
    if spec.train is not None:
        spec.train.check_side(image_size)
    else:
        generator_kinds.get(kind).check(spec, classes, labels, image_size, channels)
