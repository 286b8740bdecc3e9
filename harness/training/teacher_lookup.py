"""Where the weights of a suite's teacher are, and in which order they label classes; checked before any job.

In: what the suite says. Out: an absolute path or a timm model, and class ids. Nothing here loads the weights.
"""

from __future__ import annotations

from pathlib import Path

from harness.core import hub
from harness.core.classes import ClassInfo, read_class_list
from harness.core.config.suite import Teacher
from harness.core.errors import UserError
from harness.core.suites import SuiteFile
from harness.training.teacher_folder import check_known, read_about


def locate(file: SuiteFile, data_root: str, weights_root: str | None) -> Teacher:
    """Return the suite's teacher with its weights located.

    Raises:
        UserError: they are a file or folder that is not there, or a state dict without an architecture.
    """
    teacher = file.suite.teacher
    assert teacher is not None
    assert teacher.weights is not None
    if teacher.weights.startswith("timm:"):
        return teacher
    found = hub.find(teacher.weights, file, data_root, weights_root)
    if found is None:
        raise UserError(
            f"suite {file.suite.name}: teacher.weights {teacher.weights!r} does not exist. Put it under "
            f"--weights-root, the data root ({data_root}) or next to the suite file, use a timm model (timm:NAME), or "
            "give `epochs` instead of `weights` to train a teacher."
        )
    if found.is_file() and (teacher.student is None or teacher.classes is None):
        raise UserError(
            f"suite {file.suite.name}: teacher.weights {found.name} is a state dict; `student` must give its "
            "architecture, and `classes` its label order."
        )
    return teacher.model_copy(update={"weights": str(found)})


def labels(teacher: Teacher, file: SuiteFile, classes: tuple[ClassInfo, ...]) -> tuple[str, ...]:
    """Return the class ids in the label order of a teacher's weights.

    Raises:
        UserError: it has no class list, or lacks a class of the suite.
    """
    assert teacher.weights is not None
    if teacher.classes is not None:
        own = tuple(c.id for c in read_class_list(file.folder / teacher.classes))
    elif Path(teacher.weights).is_dir():
        own = read_about(Path(teacher.weights)).classes
    else:
        raise UserError(
            f"suite {file.suite.name}: teacher {teacher.weights} needs `classes`, the class list in the label order of "
            "its weights, e.g. classes/imagenet1k.txt."
        )
    check_known(own, [c.id for c in classes])
    return own
