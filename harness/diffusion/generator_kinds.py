"""The kinds of generator that a suite may offer: how the `prior` job trains one, and how a task opens one.

A method names a kind in `needs` ("text_to_image_generator"), a suite offers it under `generators`; the engine knows
both by this table only. The options of each kind's training are in `harness.generator_config.GENERATOR_TRAINING`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.classes import ClassInfo
from harness.core.config.generator import GeneratorSpec, PriorTraining, TextPriorTraining
from harness.core.errors import UserError

if TYPE_CHECKING:
    import torch

    from harness.diffusion.latents import Report


@dataclass(frozen=True)
class PriorInputs:
    """What training a generator starts from.

    Attributes:
        images_u8, labels: the real training images [N, 3, S, S] and labels [N].
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
    report: Report
    log: Callable[..., None]


@dataclass(frozen=True)
class GeneratorKind:
    """How a kind of generator is trained (returning metrics), checked and opened.

    `check` takes the suite's spec with located places, the suite's classes, the generator's own class ids in its label
    order (where it has labels) and the suite's image size; it reads no tensor. `load` takes a pipeline's place, the
    spec, classes and class ids, the device, and what is told the progress of a download (None: nobody).
    """

    train: Callable[[PriorInputs], dict[str, float]]
    check: Callable[[GeneratorSpec, Sequence[ClassInfo], Sequence[str], int], None]
    load: Callable[[str, GeneratorSpec, Sequence[ClassInfo], Sequence[str], str, Report | None], Any]


def _train_class_conditional(given: PriorInputs) -> dict[str, float]:
    from harness.diffusion.prior import train_class_conditional

    assert isinstance(given.spec.train, PriorTraining)
    return train_class_conditional(
        given.images_u8,
        given.labels,
        spec=given.spec.train,
        class_names=[c.id for c in given.classes],
        out_folder=given.out_folder,
        device=given.device,
        report=given.report,
        log=given.log,
    )


def _check_class_conditional(
    spec: GeneratorSpec, classes: Sequence[ClassInfo], labels: Sequence[str], image_size: int
) -> None:
    from harness.diffusion.weight_checks import check_class_conditional

    check_class_conditional(spec, classes, labels, image_size)


def _load_class_conditional(
    place: str,
    spec: GeneratorSpec,
    classes: Sequence[ClassInfo],
    labels: Sequence[str],
    device: str,
    report: Report | None,
) -> Any:
    from harness.diffusion.generator import ClassConditionalGenerator

    names = labels or tuple(c.id for c in classes)
    return ClassConditionalGenerator.load(
        place,
        encoder=spec.encoder,
        decoder=spec.decoder,
        class_labels={class_id: label for label, class_id in enumerate(names)},
        device=device,
        report=report,
    )


def _train_text_to_image(given: PriorInputs) -> dict[str, float]:
    from harness.diffusion.text_prior import train_text_to_image

    assert isinstance(given.spec.train, TextPriorTraining)
    words = class_words(given.spec, given.classes)
    return train_text_to_image(
        given.images_u8,
        given.labels,
        spec=given.spec.train,
        class_words=[words[c.id] for c in given.classes],
        out_folder=given.out_folder,
        device=given.device,
        report=given.report,
        log=given.log,
    )


def _check_text_to_image(
    spec: GeneratorSpec, classes: Sequence[ClassInfo], labels: Sequence[str], image_size: int
) -> None:
    from harness.diffusion.weight_checks import check_text_to_image

    class_words(spec, classes)
    check_text_to_image(spec, classes, labels, image_size)


def _load_text_to_image(
    place: str,
    spec: GeneratorSpec,
    classes: Sequence[ClassInfo],
    labels: Sequence[str],
    device: str,
    report: Report | None,
) -> Any:
    from harness.diffusion.text_to_image import TextToImageGenerator

    return TextToImageGenerator.load(
        place,
        class_words=class_words(spec, classes),
        encoder=spec.encoder,
        decoder=spec.decoder,
        device=device,
        report=report,
    )


def class_words(spec: GeneratorSpec, classes: Sequence[ClassInfo]) -> dict[str, str]:
    """Return the words that name each class in a prompt: the suite's `class_words`, or the class names.

    Raises:
        UserError: there are more or fewer words than classes.
    """
    if spec.class_words is None:
        return {c.id: c.name for c in classes}
    if len(spec.class_words) != len(classes):
        raise UserError(
            f"generators.text_to_image.class_words has {len(spec.class_words)} words for {len(classes)} classes"
        )
    return {c.id: word for c, word in zip(classes, spec.class_words, strict=True)}


GENERATOR_KINDS = {
    "class_conditional": GeneratorKind(_train_class_conditional, _check_class_conditional, _load_class_conditional),
    "text_to_image": GeneratorKind(_train_text_to_image, _check_text_to_image, _load_text_to_image),
}


def check_generator(
    kind: str, spec: GeneratorSpec, classes: Sequence[ClassInfo], labels: Sequence[str], image_size: int
) -> None:
    """Check that pre-trained weights fit their suite, as far as they are on this machine; quick, before any job.

    Raises:
        UserError: they do not.
    """
    if spec.weights is not None:
        GENERATOR_KINDS[kind].check(spec, classes, labels, image_size)
