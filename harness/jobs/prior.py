"""The job that obtains a generator: trained on the spot, or found and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.core.progress import ProgressCallback
from harness.diffusion.generator_kinds import PriorInputs, generator_kinds
from harness.jobs.clock import Clock
from harness.jobs.context import JobContext, open_split
from harness.jobs.curves import write_curves
from harness.jobs.job import Job
from harness.jobs.task_resources import load_generator


def run_prior(job: Job, context: JobContext, folder: Path, report: ProgressCallback, clock: Clock) -> dict[str, Any]:
    """Obtain a generator: train a small one on the real training images, or note which weights are used."""
    spec = context.generators[job.spec["generator"]]
    if job.spec["train"] is None:
        with clock.loading():
            load_generator(
                context, job.spec["generator"], folder, report
            )  # found or downloaded now, and of the right kind
        return {"weights": spec.weights, "fingerprint": job.spec["weights"]}

    images, labels = open_split(context, "train").tensors(size=job.spec["image_size"], crop="adm")
    curves: list[dict[str, float]] = []
    metrics = generator_kinds.get(job.spec["generator"]).train(
        PriorInputs(
            images,
            labels,
            spec=spec,
            classes=context.classes,
            out_folder=folder / "pipeline",
            device=context.device,
            report=report,
            log=lambda step, **values: curves.append({"step": step, **values}),
        )
    )
    write_curves(folder / "curves.csv", curves)
    return {"metrics": metrics}
