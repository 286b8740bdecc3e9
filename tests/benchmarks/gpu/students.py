"""Times one epoch of each student: augmentation, CutMix, forward, backward and update, as a train job does it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from harness.core.config.protocol import Protocol
from harness.students.build import build_student
from harness.training.together import Stack, begin
from harness.training.trainer import TrainingInput, train_student
from tests.benchmarks.gpu.sizes import NUM_CLASSES, Size
from tests.benchmarks.gpu.timing import Peaks, Row, operations, seconds, synchronize, to_row


def students(size: Size, device: torch.device, peaks: Peaks, precisions: list[str], options: Any) -> Iterator[Row]:
    """One epoch of each student: those between the first, which warms up, and the last, which is evaluated."""
    side, count = size.student_side, size.student_images
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
    labels = torch.arange(count) % NUM_CLASSES
    batch = min(Protocol().batch_size, count)
    for name in size.students:
        one = _step_operations(name, side, device) * count
        for precision in precisions:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            spent = _epoch_seconds(name, precision, images, labels, device, num_epochs=options.calls)
            yield to_row(
                "students", f"{name} {side} pixels, one epoch", spent, device=device, peaks=peaks, precision=precision,
                batch=batch, num_images=count, num_operations=one,
            )  # fmt: skip
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            spent = _stack_seconds(name, precision, images, labels, device, num_epochs=options.calls)
            yield to_row(
                "students", f"{TOGETHER} {name} {side} pixels as one, one epoch", spent, device=device, peaks=peaks,
                precision=precision, batch=TOGETHER * batch, num_images=TOGETHER * count, num_operations=TOGETHER * one,
            )  # fmt: skip


TOGETHER = 10
"""Seeds that are trained as one."""


def _stack_seconds(
    name: str, precision: str, images: Tensor, labels: Tensor, device: torch.device, *, num_epochs: int
) -> list[float]:
    """Return the seconds of epochs of ten seeds as one, after a first that warms up."""
    protocol = Protocol.model_validate({"precision": precision})
    few = images[:NUM_CLASSES], labels[:NUM_CLASSES]
    stack = Stack(
        begin(
            [TrainingInput(name, protocol, images, labels, *few, NUM_CLASSES, seed, device) for seed in range(TOGETHER)]
        )
    )
    epochs = iter(range(1, num_epochs + 2))
    return seconds(lambda: stack.train_epoch(next(epochs)), device, calls=num_epochs, warm_up=1)


def _epoch_seconds(
    name: str, precision: str, images: Tensor, labels: Tensor, device: torch.device, *, num_epochs: int
) -> list[float]:
    """Return the seconds of epochs of the protocol idc without their evaluation, from the trainer's own reports."""
    ends = []

    def report(stage: str, done: int, total: int, unit: str) -> None:
        synchronize(device)
        ends.append(time.perf_counter())

    rule = {"up_to": [], "above": num_epochs + 2}
    train_student(
        student=name,
        protocol=Protocol.model_validate({"epochs": rule, "num_evaluations": 1, "precision": precision}),
        train_images=images,
        train_labels=labels,
        test_images=images[:NUM_CLASSES],
        test_labels=labels[:NUM_CLASSES],
        num_classes=NUM_CLASSES,
        seed=0,
        device=device,
        report=report,
    )
    return [after - before for before, after in pairwise(ends[:-1])]


def _step_operations(name: str, side: int, device: torch.device) -> float:
    """Return the operations of forward and backward for one image."""
    num = 2
    with torch.random.fork_rng(devices=[]):
        model = build_student(name, NUM_CLASSES, side).to(device)
    images, labels = torch.randn(num, 3, side, side, device=device), torch.zeros(num, dtype=torch.long, device=device)
    return operations(lambda: functional.cross_entropy(model(images), labels).backward()) / num
