"""The job that stores a teacher's soft labels of a distilled set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.core.progress import ProgressCallback
from harness.data.sets.folder import load_distilled
from harness.data.sets.soft_labels import BYTES_A_NUMBER, save_labels
from harness.jobs.clock import Clock
from harness.jobs.context import JobContext
from harness.jobs.job import Job
from harness.jobs.task_resources import load_teacher


def run_label(job: Job, context: JobContext, folder: Path, report: ProgressCallback, clock: Clock) -> dict[str, Any]:
    """Let the teacher label each image of a distilled set once, as a student sees it, without augmentation."""
    store, num = context.store, len(context.classes)
    images = store.path("synthesize", job.deps["synthesize"][0])
    with clock.loading():
        teacher = load_teacher(store.path("teacher", job.deps["teacher"][0]), context)[0]
    labels = {}
    for done, c in enumerate(context.classes, start=1):
        own, _ = load_distilled(images, [c], job.spec["side"], channels=context.channels, exact=True)
        labels[c.id] = teacher.label(own.to(context.device)).cpu()
        report("label", done, num, "class")
    save_labels(folder, labels, context.classes)
    return {"label_bytes": BYTES_A_NUMBER * sum(logits.numel() for logits in labels.values())}
