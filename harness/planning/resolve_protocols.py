"""The protocols of a request: the students', the teacher's, and the changed ones that only scores need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError, did_you_mean
from harness.planning.plan import MethodPlan
from harness.planning.request import RunRequest
from harness.planning.resolve_methods import Methods
from harness.planning.resolve_suite import SuitePart, suite_protocol
from harness.training.protocol_rules import check_whitening
from harness.training.protocols import EXECUTION, at_device, changes, resolve_protocol, variants


@dataclass(frozen=True)
class Protocols:
    """Under which protocols networks are trained.

    Attributes:
        students: of the request.
        teacher: of the suite's teacher.
        variants: by name; none where no scores are asked for.
        changes: how the students' differs from the suite's protocol of that name, for people; "" where it does not.
    """

    students: Protocol
    teacher: Protocol
    variants: dict[str, Protocol]
    changes: str


def resolve_protocols(request: RunRequest, suite: SuitePart, methods: Methods, device: str) -> Protocols:
    """Return all protocols as they are executed on a device, and see that there is a teacher where one gives labels.

    Raises:
        UserError: the teacher's protocol is unknown, has soft labels or whitens, the suite names no teacher, or its images
            are too large to be whitened.
    """
    own = at_device(suite.protocol, device)
    if own.whitening != "none":
        of = suite.suite
        check_whitening(of.channels * of.side**2, f"suite {of.name}, protocol {own.name!r}")
    teacher, told = _executed(_teacher_protocol(suite, methods.plans), request.settings.get("teacher", {}), device)
    named = suite_protocol(suite.suite, own.name, files=suite.protocol_files)
    changed = ", ".join(filter(None, [changes(own, named), *(told if suite.suite.teacher else ())]))
    return Protocols(own, teacher, variants(own) if request.scores else {}, changed)


def _executed(protocol: Protocol, settings: Mapping[str, Any], device: str) -> tuple[Protocol, list[str]]:
    """Return the teacher's protocol as it is executed on a device, and what the command line changed of that.

    Raises:
        UserError: a setting is not about how it is executed, or is refused.
    """
    for field in settings:
        if field not in EXECUTION:
            raise UserError(
                f"--set teacher.{field}: no such field.{did_you_mean(field, list(EXECUTION))} Fields: {', '.join(EXECUTION)}. "
                "What the teacher is stands in the suite's `teacher`, how it is trained in its protocol."
            )
    executed = at_device(resolve_protocol(protocol, user_overrides=settings), device)
    return executed, [
        f"teacher.{field}={str(getattr(executed, field)).lower()}"
        for field in EXECUTION
        if getattr(executed, field) != getattr(at_device(protocol, device), field)
    ]


def _teacher_protocol(part: SuitePart, methods: tuple[MethodPlan, ...]) -> Protocol:
    suite = part.suite
    if suite.teacher is None:
        if labelled_by_teacher(methods, part.protocol):
            raise UserError(
                f"protocol {part.protocol.name!r} needs a teacher for soft labels, but suite {suite.name} has none. "
                "Add `teacher: {student: resnet_ap10, epochs: 100}` to the suite, or choose a hard-label protocol."
            )
        return part.protocol  # nobody learns under it
    name = suite.teacher.protocol
    own = suite_protocol(suite, name, files=part.protocol_files)
    if own.labels != "hard":
        raise UserError(
            f"suite {suite.name}: teacher.protocol {name!r} has soft labels; a teacher must be trained with hard "
            "labels."
        )
    if own.whitening != "none":
        raise UserError(
            f"suite {suite.name}: teacher.protocol {name!r} has whitening: {own.whitening}; a teacher is trained on "
            "unwhitened images."
        )
    return own


def labelled_by_teacher(methods: tuple[MethodPlan, ...], protocol: Protocol) -> bool:
    """Return whether the suite's teacher gives labels: soft ones, or stored ones of sets that come without."""
    if protocol.labels == "stored":
        return any(not m.build().own_labels() for m in methods if not m.skip)
    return protocol.labels == "soft"
