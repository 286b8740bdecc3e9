"""The job that trains one student on a distilled set, or on all real data, and scores it on the test split."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.core.classes import ClassInfo
from harness.core.config.protocol import Protocol
from harness.core.plugin.discovery import load_method
from harness.core.plugin.task import Task
from harness.core.progress import ProgressCallback, no_progress
from harness.data.rows import as_rows
from harness.data.sets.folder import load_distilled
from harness.data.sets.soft_labels import BYTES_A_NUMBER, load_labels
from harness.jobs.clock import Clock
from harness.jobs.context import JobContext, real_images, test_crop
from harness.jobs.curves import write_curves
from harness.jobs.job import Job
from harness.jobs.redraw import RedrawnImages
from harness.jobs.task_resources import JobTaskResources, load_teacher, make_task
from harness.jobs.whitening import real_whitening
from harness.training.scores import TrainResult
from harness.training.soft_labels import StoredLabels
from harness.training.trainer import TrainingInput, train_student

if TYPE_CHECKING:
    from harness.data.rows import ImageRows
    from harness.training.soft_labels import SoftLabels


@dataclass(frozen=True)
class Trained:
    """A training that was done together with others (harness/jobs/together.py).

    Attributes:
        result: its scores.
        seconds: its share of the time.
        num: of trainings that were done as one.
    """

    result: TrainResult
    seconds: float
    num: int


TRAINED: dict[str, Trained] = {}
"""By key of the job: trainings of this process that wait for their job to keep them."""


def run_train(job: Job, context: JobContext, folder: Path, report: ProgressCallback, clock: Clock) -> dict[str, Any]:
    """Train one student on a distilled set (or on all real training data) and score it on the real test split."""
    given = read_training(job, context, report, clock)
    if (trained := TRAINED.pop(job.key, None)) is not None:
        clock.add_share(trained.seconds)
        scored = trained.result
    else:
        _, scored = train_student(**vars(given), report=report)
    result = asdict(scored)
    label_bytes, teacher_bytes = _bytes_kept(
        given.protocol, given.soft_labels, result.pop("kept_labels"), len(context.classes)
    )
    write_curves(folder / "curves.csv", result.pop("curve"))
    write_curves(folder / "confusion.csv", _confusion_rows(result, context.classes))
    fresh = given.fresh
    return {
        **result,
        "num_images": len(given.train_images),
        "redraw_every": fresh.every if isinstance(fresh, RedrawnImages) else None,
        "redraw_s": fresh.seconds if isinstance(fresh, RedrawnImages) else None,
        "teacher_bytes": teacher_bytes,
        "label_bytes": label_bytes,
        **({"trained_together": trained.num} if trained else {}),
    }


def read_training(job: Job, context: JobContext, report: ProgressCallback, clock: Clock) -> TrainingInput:
    """Read what a train job needs; its dependencies are in the store."""
    side, ipc, draws = job.spec["side"], job.spec["ipc"], 1
    protocol, store = Protocol.model_validate(job.spec["protocol"]), context.store
    with clock.loading():
        images: torch.Tensor | ImageRows
        test_images, test_labels = real_images(context, "test", side, test_crop(protocol.test_margin), report)
        if ipc is None:
            images, labels = real_images(context, "train", side, report=report)
        else:
            key = job.deps["synthesize"][0]
            draws = store.manifest("synthesize", key)["result"]["draws"]
            place, num = store.path("synthesize", key), ipc * draws
            images, labels = load_distilled(
                place, context.classes, side, ipc=num, channels=context.channels, exact=True
            )
        return TrainingInput(
            student=job.spec["student"],
            protocol=protocol,
            train_images=images,
            train_labels=labels,
            test_images=test_images,
            test_labels=test_labels,
            num_classes=len(context.classes),
            seed=job.spec["seed"],
            device=torch.device(context.device),
            ipc=ipc,
            draws=draws,
            fresh=_fresh_images(job, context, report, clock) if "redraw" in job.spec else None,
            soft_labels=_soft_labels(job, context, protocol, images, ipc and ipc * draws),
            whitening=real_whitening(context, side, report) if protocol.whitening == "zca" else None,
        )


def _bytes_kept(
    protocol: Protocol, soft_labels: SoftLabels | StoredLabels | None, kept_labels: int | None, num_classes: int
) -> tuple[int | None, int | None]:
    """Return the bytes of the soft labels that a training needs, and those of the teacher that makes them on the fly.

    Of labels that a protocol keeps (`labels_kept`) they are what a file in half precision would take; the seeds that make
    a batch are not counted.
    """
    if soft_labels is None:
        return None, None
    if kept_labels is not None:
        return BYTES_A_NUMBER * kept_labels * num_classes, None
    return (soft_labels.num_bytes, None) if protocol.labels == "stored" else (None, soft_labels.num_bytes)


def _confusion_rows(result: dict[str, Any], classes: tuple[ClassInfo, ...]) -> list[dict[str, Any]]:
    """Take the confusion matrices out of the result; return a row for each pair of classes that occurs."""
    return [
        {"evaluation": which, "true_class": classes[true].id, "called_class": classes[called].id, "num_images": num}
        for which in ("last", "best")
        for true, called, num in result[f"classes_{which}"].pop("confusion")
    ]


def _soft_labels(
    job: Job, context: JobContext, protocol: Protocol, images: torch.Tensor | ImageRows, per_class: int | None
) -> SoftLabels | StoredLabels | None:
    """Return the soft labels of a training: its teacher, or the stored ones of the first `per_class` images of each class.

    Those lie in the artefact of a label job, or came with the set. All real images are labelled here and not kept.
    """
    if protocol.labels == "hard":
        return None
    store = context.store
    teacher = load_teacher(store.path("teacher", job.deps["teacher"][0]), context)[0] if "teacher" in job.deps else None
    if protocol.labels == "soft":
        return teacher
    if teacher is not None:
        return StoredLabels(teacher.label(as_rows(images, context.device), torch.half))
    role = "label" if "label" in job.deps else "synthesize"
    logits = load_labels(store.path(role, job.deps[role][0]), context.classes, ipc=per_class)
    return StoredLabels(logits.to(context.device))


def _fresh_images(job: Job, context: JobContext, report: ProgressCallback, clock: Clock) -> RedrawnImages:
    """Return what draws new images while the student trains; its own progress would hide the training's."""

    def task_of(as_synthesis: Job, group: tuple[ClassInfo, ...], services: JobTaskResources) -> Task:
        return make_task(as_synthesis, context, group, no_progress, services)

    services = JobTaskResources(job, context, clock)
    return RedrawnImages(job, context, load_method(job.spec["redraw"]), task_of, services)
