"""The reference benchmark harness for dataset distillation.

    import harness
    run = harness.run(methods="all", suite="digits")
    harness.load_results(run)

Importing this imports no torch; what needs it is loaded when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.classes import ClassInfo
from harness.core.config.base import AFTER_FIT, UNHASHED
from harness.core.config.protocol import Operation, Protocol
from harness.core.config.search import search
from harness.core.errors import UserError
from harness.core.executors import register_executor
from harness.core.plugin.denoising import DenoisingStep
from harness.core.plugin.discovery import register_method
from harness.core.plugin.distilled_set import DistilledSet, Stored, repeat_to
from harness.core.plugin.generators import ClassConditionalGenerator
from harness.core.plugin.method import Method
from harness.core.plugin.resources import FeatureExtractor, Teacher
from harness.core.plugin.task import State, Task
from harness.core.plugin.text_generators import TextToImageGenerator

if TYPE_CHECKING:
    from harness.api.bundle import bundle
    from harness.api.evaluate import evaluate
    from harness.api.export import export
    from harness.api.inspect import inspect
    from harness.api.report import figures, report, write_page
    from harness.api.run import run
    from harness.api.run_result import Run
    from harness.api.tune.run import tune
    from harness.api.verify import verify
    from harness.data.sources.base import register_source
    from harness.execution.local import LocalExecutor
    from harness.reporters import register_reporter
    from harness.reporters.runs import find_runs, load_results
    from harness.reporters.tables.published import report_published
    from harness.students import register_student
    from harness.students.build import build_student
    from harness.testing.run import check_method
    from harness.training.protocols import register_protocol
    from harness.training.siamese import Augmentation, draw_augmentation, draw_for_each
    from harness.training.soft_labels import SoftLabels

__version__ = "0.1.0"

__all__ = [
    "AFTER_FIT",
    "UNHASHED",
    "Augmentation",
    "ClassConditionalGenerator",
    "ClassInfo",
    "DenoisingStep",
    "DistilledSet",
    "FeatureExtractor",
    "LocalExecutor",
    "Method",
    "Operation",
    "Protocol",
    "Run",
    "SoftLabels",
    "State",
    "Stored",
    "Task",
    "Teacher",
    "TextToImageGenerator",
    "UserError",
    "build_student",
    "bundle",
    "check_method",
    "draw_augmentation",
    "draw_for_each",
    "evaluate",
    "export",
    "figures",
    "find_runs",
    "inspect",
    "load_results",
    "register_executor",
    "register_method",
    "register_protocol",
    "register_reporter",
    "register_source",
    "register_student",
    "repeat_to",
    "report",
    "report_published",
    "run",
    "search",
    "tune",
    "verify",
    "write_page",
]

_LAZY = {
    "Augmentation": "harness.training.siamese",
    "LocalExecutor": "harness.execution.local",
    "Run": "harness.api.run_result",
    "SoftLabels": "harness.training.soft_labels",
    "build_student": "harness.students.build",
    "check_method": "harness.testing.run",
    "bundle": "harness.api.bundle",
    "draw_augmentation": "harness.training.siamese",
    "draw_for_each": "harness.training.siamese",
    "evaluate": "harness.api.evaluate",
    "export": "harness.api.export",
    "figures": "harness.api.report",
    "find_runs": "harness.reporters.runs",
    "inspect": "harness.api.inspect",
    "load_results": "harness.reporters.runs",
    "register_protocol": "harness.training.protocols",
    "register_reporter": "harness.reporters",
    "register_source": "harness.data.sources.base",
    "register_student": "harness.students",
    "report": "harness.api.report",
    "report_published": "harness.reporters.tables.published",
    "run": "harness.api.run",
    "tune": "harness.api.tune.run",
    "verify": "harness.api.verify",
    "write_page": "harness.api.report",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """The public names: what completion offers."""
    return sorted([*__all__, "__version__"])
