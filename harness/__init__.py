"""The reference benchmark harness for dataset distillation.

    import harness
    run = harness.run(methods="all", suite="digits")
    harness.load_results(run)

Importing this imports no torch; what needs it is loaded when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.discovery import register_method
from harness.errors import UserError
from harness.frozen import AFTER_FIT, UNHASHED
from harness.method import ClassInfo, DistilledSet, Method, State, Stored, Task, repeat_to

if TYPE_CHECKING:
    from harness.api import run
    from harness.data.sources import register_source
    from harness.exporting import export
    from harness.given.evaluate import evaluate
    from harness.reporters import register_reporter
    from harness.reporters.published_paper import report_published
    from harness.results import Run, figures, find_runs, inspect, load_results, report, write_page
    from harness.students import register_student
    from harness.students.build import build_student
    from harness.training.soft_labels import SoftLabels

__version__ = "0.1.0"

__all__ = [
    "AFTER_FIT",
    "UNHASHED",
    "ClassInfo",
    "DistilledSet",
    "Method",
    "Run",
    "SoftLabels",
    "State",
    "Stored",
    "Task",
    "UserError",
    "build_student",
    "evaluate",
    "export",
    "figures",
    "find_runs",
    "inspect",
    "load_results",
    "register_method",
    "register_reporter",
    "register_source",
    "register_student",
    "repeat_to",
    "report",
    "report_published",
    "run",
    "write_page",
]

_LAZY = {
    "Run": "harness.results",
    "SoftLabels": "harness.training.soft_labels",
    "build_student": "harness.students.build",
    "evaluate": "harness.given.evaluate",
    "export": "harness.exporting",
    "figures": "harness.results",
    "find_runs": "harness.results",
    "inspect": "harness.results",
    "load_results": "harness.results",
    "register_reporter": "harness.reporters",
    "register_source": "harness.data.sources",
    "register_student": "harness.students",
    "report": "harness.results",
    "report_published": "harness.reporters.published_paper",
    "run": "harness.api",
    "write_page": "harness.results",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
