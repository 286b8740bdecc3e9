"""Student networks by name. Importing this package imports no torch: `harness list students` stays instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.students.spec import StudentSpec, catalogue, parse, register_student, students

if TYPE_CHECKING:
    from harness.students.build import build_student
    from harness.students.features import FeatureExtractor

__all__ = [
    "FeatureExtractor",
    "StudentSpec",
    "build_student",
    "catalogue",
    "parse",
    "register_student",
    "students",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch at its first use."""
    if name == "build_student":
        from harness.students.build import build_student

        return build_student
    if name == "FeatureExtractor":
        from harness.students.features import FeatureExtractor

        return FeatureExtractor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
