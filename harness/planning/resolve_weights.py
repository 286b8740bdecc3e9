"""The pre-trained weights of a request: where its generators and its teacher are, and whether they fit the suite.

In: a suite and the methods that will run. Out: located weights. No tensor is read and nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.core import hub
from harness.core.config.generator import GeneratorSpec
from harness.core.config.suite import Teacher
from harness.core.plugin.method import TEACHER_NEEDS
from harness.diffusion import weights
from harness.diffusion.generator_kinds import check_generator
from harness.planning.request import RunRequest
from harness.planning.resolve_methods import Methods
from harness.planning.resolve_protocols import labelled_by_teacher
from harness.planning.resolve_suite import SuitePart
from harness.training import teacher_lookup


@dataclass(frozen=True)
class Weights:
    """Where pre-trained networks are.

    Attributes:
        generators: the suite's by kind, each place a path or a pinned hub id.
        teacher: the suite's, its weights located where somebody needs them.
        teacher_labels: class ids in the label order of its weights; empty where it is trained or nobody needs it.
    """

    generators: dict[str, GeneratorSpec]
    teacher: Teacher | None
    teacher_labels: tuple[str, ...]


def resolve_weights(request: RunRequest, suite: SuitePart, methods: Methods) -> Weights:
    """Locate the generators and the teacher, and check those that a method needs.

    Raises:
        UserError: weights are not there, or do not fit the suite.
    """
    generators = {
        kind: weights.locate(
            spec, suite.file, request.data_root, request.weights_root, ask_hub=kind in methods.generators
        )
        for kind, spec in suite.suite.generators.items()
    }
    for kind in methods.generators:
        labels, own = methods.generator_labels[kind], suite.suite
        check_generator(kind, generators[kind], suite.classes, labels, own.image_size, own.channels)
    teacher, labels = _teacher(request, suite, methods)
    return Weights(generators, teacher, labels)


def _teacher(request: RunRequest, suite: SuitePart, methods: Methods) -> tuple[Teacher | None, tuple[str, ...]]:
    """Return the suite's teacher, and the class ids of its weights where they are given and needed."""
    teacher = suite.suite.teacher
    if teacher is None or teacher.weights is None or not _needs_teacher(suite, methods):
        return teacher, ()
    teacher = teacher_lookup.locate(suite.file, request.data_root, request.weights_root)
    return teacher, teacher_lookup.labels(teacher, suite.file, suite.classes)


def _needs_teacher(suite: SuitePart, methods: Methods) -> bool:
    using = [m for m in methods.plans if m.needs & TEACHER_NEEDS]
    return labelled_by_teacher(methods.plans, suite.protocol) or any(not m.own_teacher() for m in using)


def generator_fingerprints(found: Weights, methods: Methods) -> dict[str, str]:
    """Return, by kind, what stands in keys for given weights that a method needs; whole files are read."""
    given = {kind: found.generators[kind] for kind in methods.generators if found.generators[kind].weights}
    return {kind: weights.fingerprint(spec, methods.generator_labels[kind]) for kind, spec in given.items()}


def teacher_fingerprint(found: Weights) -> str | None:
    """Return what stands in keys for given weights; None: the teacher is trained, or nobody asks for it."""
    if found.teacher is None or not found.teacher_labels:
        return None
    return hub.content_hash([found.teacher.weights], found.teacher_labels)
