"""The folder of a teacher: what it says of itself, read without loading the weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError

ABOUT, MODEL = "teacher.json", "model.safetensors"
"""Files of a teacher's folder: what it is, and its state dict."""


@dataclass(frozen=True)
class TeacherFolder:
    """What teacher.json says.

    Attributes:
        student: architecture.
        side: of the images that it sees, pixels.
        classes: ids in the order of its outputs.
        protocol: the one that it was trained under; its normalisation counts.
    """

    student: str
    side: int
    classes: tuple[str, ...]
    protocol: Protocol


def check_known(own: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a teacher that lacks a class of the suite.

    Raises:
        UserError: names them.
    """
    missing = [class_id for class_id in wanted if class_id not in set(own)]
    if missing:
        raise UserError(
            f"the teacher does not know class {', '.join(missing[:10])}: its list of {len(own)} classes starts with "
            f"{', '.join(own[:3])}. Set `teacher.classes` to the class list in the label order of its weights, with "
            "the suite's ids, or let the run train a teacher (`epochs` instead of `weights`)."
        )


def read_about(folder: Path) -> TeacherFolder:
    """Return what the folder of a teacher says of it.

    Raises:
        UserError: it is no folder of a teacher.
    """
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        protocol = Protocol.model_validate(about["protocol"])
        return TeacherFolder(about["student"], int(about["side"]), tuple(about["classes"]), protocol)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} is not a teacher folder ({ABOUT}: {type(error).__name__}: {error}). Expected the folder that a "
            "run's teacher job wrote (results/store/teacher/KEY), a state dict, or timm:NAME."
        ) from None
