"""Which artefact of a store is the suite's teacher, also for a plan that needs none."""

from __future__ import annotations

from harness.planning.plan import PlanInput
from harness.planning.planner import Planner


def suite_teacher_key(given: PlanInput) -> str | None:
    """Return the key of the suite's teacher; None: it names none, or its given weights were not looked at."""
    teacher = given.suite.teacher
    if teacher is None or (teacher.weights and not given.teacher_fingerprint):
        return None
    return Planner(given).teacher
