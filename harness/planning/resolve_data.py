"""The real images of a request: found, complete, and of a size that its students can be built for; this machine's device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.config.suite import Suite
from harness.core.environment import has_cuda
from harness.core.errors import UserError
from harness.data.sources.base import open_source
from harness.planning.request import RunRequest
from harness.planning.resolve_suite import SuitePart
from harness.students.sizes import FAMILIES, check_size
from harness.students.spec import parse


@dataclass(frozen=True)
class Data:
    """The real images.

    Attributes:
        source: the suite's image source with the request's settings.
        root: absolute folder that contains the image folders.
        about: one line for captions.
        class_counts: training images of every class in label order, where the suite asks for head and tail.
    """

    source: dict[str, Any]
    root: str
    fingerprint: str
    about: str
    class_counts: tuple[int, ...]


def resolve_data(request: RunRequest, part: SuitePart) -> Data:
    """Find and check the images.

    Raises:
        UserError: they are not there or not as the suite says, or a student cannot be had.
    """
    source = cut({**part.suite.source, **request.settings.get("data", {})}, request.validation, request.validation_seed)
    opened = open_source(source, tuple(c.id for c in part.classes), Path(request.data_root))
    opened.check()
    fingerprint = opened.fingerprint()
    _check_students(part.students, len(part.classes), part.suite)
    counted = "head_tail" in part.suite.metrics
    counts = tuple(opened.split("train").num_per_class.values()) if counted else ()
    root = str(Path(request.data_root).resolve())
    return Data(source, root, fingerprint, opened.describe(), counts)


def cut(source: dict[str, Any], share: float | None, seed: int) -> dict[str, Any]:
    """Return a source whose test split is a share of its training split; None: the source itself."""
    return source if share is None else {"kind": "validation", "of": source, "share": share, "seed": seed}


def _check_students(students: tuple[str, ...], num_classes: int, suite: Suite) -> None:
    """Find an unknown timm model, or a network too deep for the images, before any job; others than built-in ones are built."""
    for name in students:
        spec = replace(parse(name), channels=suite.channels)
        if spec.family in FAMILIES:
            check_size(spec, suite.side)
        else:
            from harness.students.build import build_student  # torch takes two seconds

            build_student(name, num_classes, suite.side, suite.channels)


def local_device(wanted: str) -> str:
    """Return the kind of device that jobs on this machine compute on.

    Args:
        wanted: "cpu", "cuda", or "auto": a GPU if there is one.

    Raises:
        UserError: a GPU is wanted and none can be used.
    """
    if wanted == "cuda" and not has_cuda():
        raise UserError(
            "device 'cuda': no usable CUDA device on this machine; use --device cpu, or a cluster that has one."
        )
    return wanted if wanted != "auto" else "cuda" if has_cuda() else "cpu"
