"""The kinds of job by name, each with the function that does it, imported at its first use.

A kind is one file: a function that fills an artefact's folder and returns the result for its manifest. The planner says
when one is needed and what its key is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core.progress import ProgressCallback
from harness.core.registry import Registry
from harness.jobs.clock import Clock
from harness.jobs.context import JobContext
from harness.jobs.job import Job

RunJob = Callable[[Job, JobContext, Path, ProgressCallback, Clock], dict[str, Any]]

job_kinds: Registry[RunJob] = Registry(
    "kind of job",
    {
        "prior": "harness.jobs.prior:run_prior",
        "teacher": "harness.jobs.teacher:run_teacher",
        "fit": "harness.jobs.distill:run_fit",
        "synthesize": "harness.jobs.distill:run_synthesize",
        "label": "harness.jobs.label:run_label",
        "train": "harness.jobs.train:run_train",
    },
)
