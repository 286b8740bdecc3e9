"""What the real images of the trainings to come take: room on the disk where they are decoded, and host memory.

In: a plan. Out: the files to be made, and lines for a dry run. Nothing is read or written. Shapes: N training images,
M test images, C classes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from harness.core.config.protocol import Protocol
from harness.core.text import byte_size, times
from harness.data.decoded import CHUNK_BYTES, DecodedFile
from harness.data.rows import LIMIT, memory_limit
from harness.data.sets.soft_labels import BYTES_A_NUMBER
from harness.jobs.context import decoded_file, open_split, test_crop
from harness.training.recipe import make_recipe

if TYPE_CHECKING:
    from harness.data.split import Crop
    from harness.jobs.job import Job
    from harness.planning.plan import Plan
    from harness.planning.resolve import Resolved

PROCESS_BYTES = 1_500_000_000
"""Python, torch, a student and its optimiser: 1.1 GB measured in a job with the smallest student, and room for weights."""


DRAW_BYTES = 900
"""Bytes that shuffling and drawing the augmentation of one epoch take for each image: 790 measured, and its label."""


def trainings(resolved: Resolved, plan: Plan) -> list[Job]:
    """Return the jobs to come that train on or score real images: students, and teachers that are trained."""
    store, fresh = resolved.context.store, resolved.request.fresh
    return [
        job
        for job in plan.jobs.values()
        if (job.kind == "train" or (job.kind == "teacher" and job.spec["teacher"]["epochs"]))
        and (fresh or not store.has(job.kind, job.key))
    ]


def decoded_files(resolved: Resolved, jobs: list[Job]) -> list[DecodedFile]:
    """Return the files of decoded images that jobs read, each once, whether they are there or not."""
    found = {}
    for name, side, crop in sorted({use for job in jobs for use in _uses(job)}):
        file = decoded_file(resolved.context, name, side, crop)
        if file is not None:
            found[file.path] = file
    return list(found.values())


def host_memory(resolved: Resolved, job: Job) -> int:
    """Return the bytes of host memory that a training takes, besides activations (on a CPU) or CUDA's libraries."""
    classes, protocol = len(resolved.context.classes), Protocol.model_validate(job.spec["protocol"])
    real = {name: len(open_split(resolved.context, name)) for name in ("train", "test")}
    num = job.spec["ipc"] * classes if job.spec.get("ipc") else real["train"]
    side = job.spec["side"]
    image_bytes = protocol.channels * side**2
    total = PROCESS_BYTES + num * DRAW_BYTES
    if job.spec.get("ipc"):
        total += num * image_bytes
    decoding = 0
    for name, _, crop in _uses(job):
        file = decoded_file(resolved.context, name, side, crop)
        if file is None:
            total += real[name] * image_bytes
        elif not file.is_here():
            decoding = 4 * CHUNK_BYTES
    total += decoding
    total += 4 * make_recipe(protocol, num / classes, classes, _student(job)).batch_size * image_bytes
    if protocol.labels == "stored":
        total += BYTES_A_NUMBER * num * classes
    return total + 8 * real["test"] * classes


def describe_images(resolved: Resolved, plan: Plan) -> list[str]:
    """Return what a dry run says of trainings on all real images, and of those that read decoded files: a line each."""
    jobs = trainings(resolved, plan)
    files, lines = decoded_files(resolved, jobs), []
    for file in files:
        left = file.missing_bytes()
        state = "exists" if not left else f"{byte_size(left)} still have to be written"
        lines.append(
            f"real images: {file.path} takes {byte_size(file.num_bytes)} of disk ({len(file.split):,} images at "
            f"{file.size} px, above {LIMIT}={memory_limit() / 1e9:g}); {state}"
        )
    alike: dict[tuple[Any, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        alike[job.kind, job.spec.get("ipc"), _student(job), job.spec["protocol"]["labels"]].append(job)
    groups: dict[str, list[int]] = defaultdict(list)
    for (kind, ipc, *_), same in alike.items():
        what = "the teacher" if kind == "teacher" else f"students on {'a distilled set' if ipc else 'all real images'}"
        if files or not ipc:
            groups[what] += [host_memory(resolved, same[0])] * len(same)
    more = "CUDA's own libraries" if resolved.context.device == "cuda" else "the network's activations"
    lines += [
        f"host memory: {what} ({times(len(peaks), 'job')}): up to {byte_size(max(peaks))} per job, plus {more}"
        for what, peaks in groups.items()
    ]
    return lines


def _uses(job: Job) -> list[tuple[str, int, Crop]]:
    """Return (split, side, crop) of the real images that a training reads."""
    side = job.spec["side"]
    train: list[tuple[str, int, Crop]] = [("train", side, "resize")]
    if job.kind == "teacher":
        return train
    test = test_crop(job.spec["protocol"]["test_margin"])
    return [("test", side, test), *([] if job.spec["ipc"] else train)]


def _student(job: Job) -> str:
    return str(job.spec["student"] if job.kind == "train" else job.spec["teacher"]["student"])
