"""The kind of generator that draws a class by its label: a DiT with its VAEs."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.classes import ClassInfo
from harness.core.config.generator import GeneratorSpec, PriorTraining
from harness.core.plugin import generators
from harness.core.progress import ProgressCallback
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.generator_kinds import GeneratorKind, PriorInputs
from harness.diffusion.prior import train_class_conditional
from harness.diffusion.weight_checks import check_class_conditional


def _train(inputs: PriorInputs) -> dict[str, float]:
    assert isinstance(inputs.spec.train, PriorTraining)
    return train_class_conditional(
        inputs.images_u8,
        inputs.labels,
        spec=inputs.spec.train,
        class_names=[c.id for c in inputs.classes],
        out_folder=inputs.out_folder,
        device=inputs.device,
        report=inputs.report,
        log=inputs.log,
    )


def _load(
    place: str,
    spec: GeneratorSpec,
    classes: Sequence[ClassInfo],
    labels: Sequence[str],
    device: str,
    report: ProgressCallback | None,
    channels: int,
) -> generators.ClassConditionalGenerator:
    names = labels or tuple(c.id for c in classes)
    return ClassConditionalGenerator.load(
        place,
        encoder=spec.encoder,
        decoder=spec.decoder,
        class_labels={class_id: label for label, class_id in enumerate(names)},
        device=device,
        report=report,
        channels=channels,
    )


KIND = GeneratorKind(_train, check_class_conditional, _load)
