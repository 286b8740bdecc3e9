"""The kinds of job by name, each with the function that does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.jobs.clock import Clock
from harness.jobs.context import JobContext, Report
from harness.jobs.distill import run_fit, run_synthesize
from harness.jobs.job import Job
from harness.jobs.label import run_label
from harness.jobs.prior import run_prior
from harness.jobs.teacher import run_teacher
from harness.jobs.train import run_train

_KINDS: dict[str, Callable[[Job, JobContext, Path, Report, Clock], dict[str, Any]]] = {
    "prior": run_prior,
    "teacher": run_teacher,
    "fit": run_fit,
    "synthesize": run_synthesize,
    "label": run_label,
    "train": run_train,
}
