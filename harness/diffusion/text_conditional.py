"""The kind of generator that draws what a prompt says: Stable Diffusion, with a word for each class."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.classes import ClassInfo
from harness.core.config.generator import GeneratorSpec, TextPriorTraining
from harness.core.errors import UserError
from harness.core.plugin import text_generators
from harness.core.progress import ProgressCallback
from harness.diffusion.generator_kinds import GeneratorKind, PriorInputs
from harness.diffusion.text_prior import train_text_to_image
from harness.diffusion.text_to_image import TextToImageGenerator
from harness.diffusion.weight_checks import check_text_to_image


def _train(inputs: PriorInputs) -> dict[str, float]:
    assert isinstance(inputs.spec.train, TextPriorTraining)
    words = class_words(inputs.spec, inputs.classes)
    return train_text_to_image(
        inputs.images_u8,
        inputs.labels,
        spec=inputs.spec.train,
        class_words=[words[c.id] for c in inputs.classes],
        out_folder=inputs.out_folder,
        device=inputs.device,
        report=inputs.report,
        log=inputs.log,
    )


def _check(
    spec: GeneratorSpec, classes: Sequence[ClassInfo], labels: Sequence[str], image_size: int, channels: int
) -> None:
    class_words(spec, classes)
    check_text_to_image(spec, classes, labels, image_size, channels)


def _load(
    place: str,
    spec: GeneratorSpec,
    classes: Sequence[ClassInfo],
    labels: Sequence[str],
    device: str,
    report: ProgressCallback | None,
    channels: int,
) -> text_generators.TextToImageGenerator:
    return TextToImageGenerator.load(
        place,
        class_words=class_words(spec, classes),
        encoder=spec.encoder,
        decoder=spec.decoder,
        device=device,
        report=report,
        channels=channels,
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


KIND = GeneratorKind(_train, _check, _load)
