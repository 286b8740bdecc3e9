"""The job that trains a teacher, the suite's or a method's own, or reads given weights, and checks it on held-out images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.core.config.protocol import Protocol
from harness.core.config.suite import Teacher
from harness.core.progress import ProgressCallback
from harness.jobs.clock import Clock
from harness.jobs.context import JobContext, open_split, real_part
from harness.jobs.job import TEACHER_SCORED_ON, Job
from harness.training.teacher import check_teacher, score_teacher, train_teacher
from harness.training.teacher_folder import TeacherFolder
from harness.training.teacher_weights import in_suite_order, open_weights, write_teacher


def run_teacher(job: Job, context: JobContext, folder: Path, report: ProgressCallback, clock: Clock) -> dict[str, Any]:
    """Train a teacher on the real training split less a hold-out, or take the given weights of the suite's.

    Either is scored on the hold-out and refused if it has not learned or calls classes by other names.
    """
    given = context.teacher if job.spec["weights"] else None  # where its weights lie is in no specification
    teacher = given or Teacher.model_validate(job.spec["teacher"])
    side, num_classes = job.spec["side"], len(context.classes)
    protocol = Protocol.model_validate(job.spec["protocol"])
    rest, held_out = open_split(context, "train").holdout(teacher.holdout, seed=0)
    most = max(1, TEACHER_SCORED_ON // num_classes)
    shown = held_out.select({c: range(min(n, most)) for c, n in held_out.num_per_class.items()})
    if teacher.weights is None:
        train, held = (real_part(context, "train", part, side, report) for part in (rest, shown))
        model, scores = train_teacher(
            teacher, protocol, train, held, num_classes=num_classes, device=context.device, report=report
        )
        about = TeacherFolder(str(teacher.student), side, tuple(c.id for c in context.classes), protocol)
    else:
        held = shown.tensors(size=side, crop="resize")
        with clock.loading():
            model, about = open_weights(teacher, context.teacher_labels, side, protocol)
        ours = in_suite_order(model, about.classes, context.classes)
        scores = score_teacher(ours, about.protocol, held, num_classes=num_classes, device=context.device)
    check_teacher(scores, context.classes, about.student, teacher.min_share, job.spec["full_accuracy"])
    write_teacher(folder, model, about, holdout_top1=scores.top1)
    return {"holdout_top1": scores.top1}
