"""Train one student on labelled images and score it on a test split, under a protocol.

In: images, labels, a protocol, a student's name, a seed. Out: the trained student and its scores, accuracy in percent.
It never learns which method made the images. Shapes: N training images, M test images, B batch, S image side, K channels (as the
protocol: 3, or 1 in a grey suite).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol as ProtocolType

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.core import seeds
from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress
from harness.data.rows import ImageRows, as_rows
from harness.diffusion.precision import check_precision
from harness.students.build import build_student
from harness.training.augment import Augmenter
from harness.training.batches import make_batches
from harness.training.cutmix import Mix, paste
from harness.training.evaluation import rank
from harness.training.forward import Forward, autocast
from harness.training.optimizer import make_optimizer
from harness.training.protocols import at_device
from harness.training.recipe import Recipe, make_recipe
from harness.training.scores import Scores, TrainResult
from harness.training.soft_labels import SoftLabels, StoredLabels
from harness.training.whitening import Whitening


class Fresh(ProtocolType):
    """Draws new images while a student trains.

    Attributes:
        every: epochs that a draw is seen.
    """

    every: int

    def __call__(self, number: int) -> Tensor:
        """Return draw `number` (from 1; the training images are draw 0) as uint8 [N, K, S, S]."""


def train_student(
    *,
    student: str,
    protocol: Protocol,
    train_images: Tensor | ImageRows,
    train_labels: Tensor,
    test_images: Tensor | ImageRows,
    test_labels: Tensor,
    num_classes: int,
    seed: int,
    device: torch.device | str = "cpu",
    ipc: float | None = None,
    draws: int = 1,
    fresh: Fresh | None = None,
    soft_labels: SoftLabels | StoredLabels | None = None,
    whitening: Whitening | None = None,
    report: ProgressCallback = no_progress,
) -> tuple[nn.Module, TrainResult]:
    """Train a student from scratch and score it at the protocol's evaluations.

    Weights, order, both augmentations and CutMix each have their own random stream derived from `seed`; torch's global
    generators are left as they were. On a CPU equal arguments give equal bits for an equal number of threads.

    Paper/Code: AlexNet's lighting, colour jitter and crops per image, in data-loader workers, from unseeded generators.
    Here: the same distributions for whole batches, on the device, seeded, because repeats must repeat.

    Args:
        student: name of the student.
        protocol: what to do; `harness.training.recipe.make_recipe` gives the epochs.
        train_images: uint8 [N, K, S, S], a tensor on the CPU or the device, or rows read on demand; not changed. A tensor
            may also be float32 on the same scale (255 is white), with values between and outside the bytes.
        train_labels: int64 [N], each in [0, num_classes).
        test_images: uint8 [M, K, S, S].
        test_labels: int64 [M].
        num_classes: outputs of the student.
        seed: the training seed.
        device: where to train; images given as tensors are kept there as uint8.
        ipc: images per class that the epochs are chosen by; None: N / num_classes.
        draws: k: the images are a pool, dealt anew in every k epochs so that each epoch sees 1/k of every class.
        fresh: draws new images with the labels of `train_images`; they take their place every `fresh.every` epochs. Not
            with soft labels of which only some are kept.
        soft_labels: the teacher, on `device`, where the protocol's labels are soft; a label an image where they are
            stored; else not used.
        whitening: fitted on the real training images, on `device`, where the protocol whitens; else None.
        report: called after every epoch.

    Returns:
        The student in eval mode on `device`, and the scores.

    Raises:
        UserError: the student or a setting does not fit the images.
        ValueError: images or labels have a wrong shape, type or range.
        RuntimeError: the loss is not finite.
    """
    given = TrainingInput(
        student, protocol, train_images, train_labels, test_images, test_labels, num_classes, seed, torch.device(device),
        ipc, draws, fresh, soft_labels, whitening,
    )  # fmt: skip
    with own_randomness(seeds.derive(seed, "train", "init"), given.device):
        run = given.begin()
        scores, test = Scores(run.recipe, test_labels.to(given.device), num_classes), as_rows(test_images, given.device)
        for epoch in range(1, run.recipe.epochs + 1):
            loss = run.train_epoch(epoch)
            if epoch in run.eval_epochs:
                scores.add(epoch, loss, rank(run.forward, test, run.protocol, num_classes, whitening))
            report("train", epoch, run.recipe.epochs, "epoch")
    return run.model.eval(), scores.result(run.num_steps, run.batches.num_labels)


@dataclass(frozen=True)
class TrainingInput:
    """What a training is given: arguments of `train_student`."""

    student: str
    protocol: Protocol
    train_images: Tensor | ImageRows
    train_labels: Tensor
    test_images: Tensor | ImageRows
    test_labels: Tensor
    num_classes: int
    seed: int
    device: torch.device
    ipc: float | None = None
    draws: int = 1
    fresh: Fresh | None = None
    soft_labels: SoftLabels | StoredLabels | None = None
    whitening: Whitening | None = None

    def begin(self) -> TrainingRun:
        """Check everything and return the training before its first epoch; call it in `own_randomness`.

        Raises:
            UserError, ValueError: as `train_student`.
        """
        images, protocol = self.train_images, at_device(self.protocol, self.device.type)
        check_precision(protocol.precision, self.device)
        shape = (protocol.channels, *images.shape[-1:] * 2)
        _check_split("train", images, self.train_labels, shape, self.num_classes)
        _check_split("test", self.test_images, self.test_labels, shape, self.num_classes)
        labels = self.soft_labels
        if protocol.labels != "hard" and labels is None:
            raise UserError(f"protocol {protocol.name!r} has {protocol.labels} labels, but no teacher")
        if isinstance(labels, StoredLabels) and labels.logits_NC.shape != (len(images), self.num_classes):
            raise ValueError(
                f"stored labels: expected [{len(images)}, {self.num_classes}], got {list(labels.logits_NC.shape)}"
            )
        ipc = len(images) / self.num_classes if self.ipc is None else self.ipc
        recipe = make_recipe(protocol, ipc, self.num_classes, self.student)
        model = build_student(self.student, self.num_classes, images.shape[-1], protocol.channels).to(self.device)
        return TrainingRun(
            model, protocol, recipe, images, self.train_labels, self.seed, self.device, self.draws, self.fresh, labels,
            self.whitening,
        )  # fmt: skip


class TrainingRun:
    """One training in progress: model, optimiser, resident data and random streams."""

    def __init__(
        self,
        model: nn.Module,
        protocol: Protocol,
        recipe: Recipe,
        images: Tensor | ImageRows,
        labels: Tensor,
        seed: int,
        device: torch.device,
        draws: int = 1,
        fresh: Fresh | None = None,
        soft_labels: SoftLabels | StoredLabels | None = None,
        whitening: Whitening | None = None,
    ) -> None:
        self.model, self.protocol, self.recipe, self.device = model, protocol, recipe, device
        self.forward = Forward(model, protocol)
        self.images, self.labels = as_rows(images, device), labels.to(device)
        self.augment = Augmenter(protocol, device, whitening)
        self.batches = make_batches(protocol, recipe, labels, self.images.shape[-1], seed, draws)
        if fresh is not None and self.batches.num_labels is not None:
            raise ValueError("labels_kept below 1: labels of redrawn images cannot be kept")
        self.fresh = fresh
        self.soft_labels = soft_labels if protocol.labels != "hard" else None
        self.optimizer = make_optimizer(model, protocol, recipe)
        self.eval_epochs = frozenset(recipe.eval_epochs)
        whole = protocol.labels == "stored" or (protocol.labels == "soft" and protocol.soft_loss != "kl")
        self._in_parts = not (whole or any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules()))
        self.num_steps = 0

    def train_epoch(self, epoch: int) -> float:
        """Pass once over the images and return the mean loss, nats.

        Draws for the whole epoch are made at once, and the loss is read once: no step waits for the device.
        """
        if epoch in self.recipe.restarts:
            self.optimizer = make_optimizer(self.model, self.protocol, self.recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(epoch)
        if self.fresh is not None and epoch > 1 and (epoch - 1) % self.fresh.every == 0:
            self.images = as_rows(self.fresh((epoch - 1) // self.fresh.every), self.device)
        drawn = self.batches.epoch(epoch)
        order, draws = drawn.order.to(self.device), drawn.draws.to(self.device)
        total, start = torch.zeros((), device=self.device), 0
        self.model.train()
        batches = self.images.batches(order, drawn.sizes)
        for images, mix, siamese in zip(batches, drawn.mixes, drawn.siamese, strict=True):
            here = slice(start, start + len(images))
            loss = self._step(siamese(self.augment(images, draws[here])), order[here], mix)
            total += loss * len(images)
            start += len(images)
        return self.checked(total.item() / len(order), epoch)

    def checked(self, mean_loss: float, epoch: int) -> float:
        """Return the mean loss of an epoch.

        Raises:
            RuntimeError: it is not finite.
        """
        if not math.isfinite(mean_loss):
            raise RuntimeError(
                f"the training loss is {mean_loss} in epoch {epoch} of {self.recipe.epochs} at learning rate "
                f"{self.recipe.lr_at(epoch):g}; a lower learning rate usually helps"
            )
        return mean_loss

    def _step(self, images_B3SS: Tensor, rows_B: Tensor, mix: Mix | None) -> Tensor:
        """Mix, update the weights once, and return the batch's mean loss, detached."""
        labels_B, partner_B = self.labels[rows_B], None
        if mix is not None:
            paste(images_B3SS, mix)
            partner_B = labels_B[mix.partner.to(labels_B.device)]
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for part in self._parts(len(images_B3SS), images_B3SS.shape[-1]):
            images, labels = images_B3SS[part], labels_B[part]
            with autocast(self.protocol, self.device):
                logits = self._forward(images)
                if self.soft_labels is not None:
                    loss = self.soft_labels.loss(logits, images, rows_B[part], labels, mix, self.protocol)
                elif mix is None or partner_B is None:
                    loss = functional.cross_entropy(logits, labels)
                else:
                    loss = _mixed_loss(logits, labels, partner_B[part], mix.kept)
            loss = loss * (len(images) / len(images_B3SS))
            loss.backward()
            total += loss.detach()
        self.optimizer.step()
        self.num_steps += 1
        return total

    def _parts(self, num: int, side: int) -> list[slice]:
        """Return the parts of a batch that pass one after the other: on a CPU large images, whose maps take gigabytes.

        Their gradients add up to the batch's. Not where images of a batch depend on each other: batch norm, mixed labels.
        """
        most = max(1, _CPU_PIXELS // side**2)
        if self.device.type != "cpu" or num <= most or not self._in_parts:
            return [slice(0, num)]
        return [slice(start, start + most) for start in range(0, num, most)]

    def _forward(self, images_B3SS: Tensor) -> Tensor:
        try:
            return self.forward(images_B3SS)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UserError(
                "batch norm needs more than one value per channel, and the last batch of each epoch has "
                f"{len(images_B3SS)} image of {len(self.images)} (batch size {self.recipe.batch_size}). Change "
                "batch_size, or use a student without batch norm or with fewer stages."
            ) from error


def _mixed_loss(logits: Tensor, labels_B: Tensor, partner_B: Tensor, kept: float) -> Tensor:
    """Cross-entropy after CutMix, weighted by the area that each image kept, nats."""
    loss = functional.cross_entropy(logits, labels_B)
    return kept * loss + (1 - kept) * functional.cross_entropy(logits, partner_B)


_CPU_PIXELS = 16 * 224 * 224
"""Pixels of a pass on a CPU; the same on every machine, because parts round otherwise. A batch of 64 images of 224 pixels would
take 12 GB with ConvNet-6."""


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators of the CPU and of `device` inside, and restore them after: for weights and dropout."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _check_split(
    name: str, images: Tensor | ImageRows, labels: Tensor, shape: tuple[int, ...], num_classes: int
) -> None:
    """Refuse images or labels that would train to chance or crash inside a layer."""
    dtype = images.dtype if isinstance(images, Tensor) else torch.uint8
    allowed = (torch.uint8, torch.float32) if name == "train" else (torch.uint8,)
    if dtype not in allowed or len(images.shape) != 4 or tuple(images.shape[1:]) != shape:
        raise ValueError(
            f"{name}_images: expected uint8 [N, {', '.join(map(str, shape))}], got {dtype} {list(images.shape)}"
        )
    if len(images) == 0 or labels.shape != (len(images),) or labels.dtype != torch.int64:
        raise ValueError(
            f"{name}_labels: expected int64 [{len(images)}], at least one, got {labels.dtype} {list(labels.shape)}"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"{name}_labels span [{low}, {high}], expected [0, {num_classes - 1}]")
