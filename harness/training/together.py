"""Trainings that differ in their images and seeds only, as one: their weights are stacked, and each kernel serves all of them.

For a GPU, where a small network keeps the device waiting for Python; on a CPU it is slower than one after the other (0.5 to 0.8
times). Each student sees the batches, the augmentation and the weights that it has when it trains alone, so results are equal
but for float rounding. Shapes: T trainings, N images of each, B batch, M test images, C classes, K channels, S image side.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state
from torch.nn import functional

from harness.core import seeds
from harness.core.progress import ProgressCallback, no_progress
from harness.data.rows import ImageRows, ResidentRows, as_rows
from harness.training.augment import Draws
from harness.training.cutmix import Mix
from harness.training.evaluation import eval_batches
from harness.training.forward import autocast
from harness.training.optimizer import make_optimizer
from harness.training.protocol_rules import why_alone
from harness.training.scores import Scores, TrainResult
from harness.training.siamese import Augmentation
from harness.training.soft_labels import SoftLabels
from harness.training.trainer import TrainingInput, TrainingRun, own_randomness


def train_together(trainings: Sequence[TrainingInput], report: ProgressCallback = no_progress) -> list[TrainResult]:
    """Train a student for each input and return their scores in the same order.

    Args:
        trainings: equal but for images, labels, seed and soft labels' rows; all images have one shape and type, and are tensors.
        report: called after every epoch.

    Raises:
        UserError, ValueError, RuntimeError: as `train_student`, for the first that has a problem.
    """
    runs = begin(trainings)
    stack, first = Stack(runs), trainings[0]
    test = as_rows(first.test_images, first.device)
    scores = [Scores(runs[0].recipe, first.test_labels.to(first.device), first.num_classes) for _ in runs]
    for epoch in range(1, runs[0].recipe.epochs + 1):
        losses = stack.train_epoch(epoch)
        if epoch in runs[0].eval_epochs:
            for own, loss, ranked in zip(scores, losses, stack.rank(test, first.num_classes), strict=True):
                own.add(epoch, loss, ranked)
        report("train", epoch, runs[0].recipe.epochs, "epoch")
    return [own.result(stack.num_steps, None) for own in scores]


def faster_together(trainings: Sequence[TrainingInput]) -> bool:
    """Return whether an epoch of all of them as one takes less time than one after the other, on their device, as tried here."""

    def seconds(train_epoch: Callable[[int], object]) -> float:
        train_epoch(1)  # chooses kernels
        began = time.perf_counter()
        train_epoch(2)  # ends with its losses on the CPU, so the device is done
        return time.perf_counter() - began

    alone = seconds(begin(trainings[:1])[0].train_epoch)
    return seconds(Stack(begin(trainings)).train_epoch) < alone * len(trainings)


def begin(trainings: Sequence[TrainingInput]) -> list[TrainingRun]:
    """Return the trainings before their first epoch, each with the weights of its seed."""
    runs = []
    for training in trainings:
        with own_randomness(seeds.derive(training.seed, "train", "init"), training.device):
            runs.append(training.begin())
    return runs


class Stack:
    """Networks of one kind in training, their parameters stacked along a first axis.

    Args:
        runs: the trainings before their first epoch; their networks are not changed.
    """

    def __init__(self, runs: Sequence[TrainingRun]) -> None:
        first = runs[0]
        self.runs, self.protocol, self.recipe, self.device = runs, first.protocol, first.recipe, first.device
        self.model = copy.deepcopy(first.model).to("meta")
        vars(self.model)["channels_last"] = False  # torch.func.vmap knows no memory format
        parameters, self.buffers = stack_module_state([run.model for run in runs])
        self.parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        images = [run.images for run in runs]
        if not all(isinstance(own, ResidentRows) and own.shape == images[0].shape for own in images):
            raise ValueError("trainings together need images of one shape, in memory")
        self.images = torch.cat([own.images for own in images if isinstance(own, ResidentRows)])
        self.labels_TN = torch.stack([run.labels for run in runs])
        self.optimizer = self._fresh_optimizer()
        self.num_steps = 0

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        return make_optimizer(self.model, self.protocol, self.recipe, self.parameters)

    def _forward(self, images: Tensor, *, shared: bool) -> Tensor:
        """Return the logits [T, B, C] of images [T, B, K, S, S], or of [B, K, S, S] that all networks are shown."""

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], own: Tensor) -> Tensor:
            return functional_call(self.model, (parameters, buffers), (own,))

        call = torch.func.vmap(one, in_dims=(0, 0, None if shared else 0))
        return call(self.parameters, self.buffers, images)

    def train_epoch(self, epoch: int) -> list[float]:
        """Pass once over the images and return the mean loss of each training, nats."""
        num, first = len(self.runs), self.runs[0]
        if epoch in self.recipe.restarts:
            self.optimizer = self._fresh_optimizer()
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(epoch)
        drawn = [run.batches.epoch(epoch) for run in self.runs]
        order_TM = torch.stack([own.order for own in drawn]).to(self.device)
        draws = Draws.cat([own.draws for own in drawn]).to(self.device)  # of T x M images
        place_TM = torch.arange(order_TM.numel(), device=self.device).view_as(order_TM)
        of_each = torch.arange(num, device=self.device)[:, None] * self.labels_TN.shape[1]
        total_T, start = torch.zeros(num, device=self.device), 0
        self.model.train()
        steps = zip(*(own.mixes for own in drawn), strict=True)
        siamese = zip(*(own.siamese for own in drawn), strict=True)
        for size, mixes, operations in zip(drawn[0].sizes, steps, siamese, strict=True):
            here = slice(start, start + size)
            rows_TB = order_TM[:, here]
            images = first.augment(self.images[(rows_TB + of_each).flatten()], draws[place_TM[:, here].flatten()])
            images = _siamese(images, operations)
            total_T += size * self._step(images, self.labels_TN.gather(1, rows_TB), mixes)
            start += size
        return [run.checked(loss, epoch) for run, loss in zip(self.runs, (total_T / start).tolist(), strict=True)]

    def _step(self, images: Tensor, labels_TB: Tensor, mixes: tuple[Mix | None, ...]) -> Tensor:
        """Mix, update the weights once, and return the mean loss [T] of each batch, detached; images [T x B, K, S, S]."""
        partners = None
        if any(mix is not None for mix in mixes):
            images, partners = paste_each(images, mixes)
        with autocast(self.protocol, self.device):
            logits_TBC = self._forward(images.unflatten(0, labels_TB.shape), shared=False)
            loss_T = self._loss(logits_TBC, images, labels_TB, partners)
        self.optimizer.zero_grad(set_to_none=True)
        loss_T.sum().backward()
        self.optimizer.step()
        self.num_steps += 1
        return loss_T.detach()

    def _loss(
        self, logits_TBC: Tensor, images: Tensor, labels_TB: Tensor, partners: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Return the loss [T] of each training."""
        labels = self.runs[0].soft_labels
        if isinstance(labels, SoftLabels):
            teacher, degree = labels.logits(images, self.protocol), self.protocol.temperature
            ours, theirs = (
                functional.log_softmax(x.float() / degree, dim=-1) for x in (logits_TBC, teacher.view_as(logits_TBC))
            )
            return functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(2).mean(1)
        loss_T = _cross_entropy(logits_TBC, labels_TB)
        if partners is None:
            return loss_T
        partner_TB, kept_T = partners
        return kept_T * loss_T + (1 - kept_T) * _cross_entropy(logits_TBC, labels_TB.gather(1, partner_TB))

    @torch.no_grad()
    def rank(self, images: ImageRows, num_classes: int) -> Tensor:
        """Return, for each training, the five most likely classes of each test image, as `evaluation.rank`: [T, M, <= 5]."""
        self.model.eval()
        ranked = []
        with autocast(self.protocol, self.device):
            for part in eval_batches(images, len(self.runs)):
                logits_TBC = self._forward(self.runs[0].augment.normalise(part), shared=True).float()
                ranked.append(logits_TBC.topk(min(5, num_classes)).indices)
        return torch.cat(ranked, dim=1)


def _cross_entropy(logits_TBC: Tensor, labels_TB: Tensor) -> Tensor:
    """Return the mean over each batch [T], nats."""
    loss = functional.cross_entropy(logits_TBC.flatten(0, 1), labels_TB.flatten(), reduction="none")
    return loss.view_as(labels_TB).mean(1)


def _siamese(images: Tensor, operations: tuple[Augmentation, ...]) -> Tensor:
    """Apply to the batch of each training its own operation."""
    if all(augment.operation is None for augment in operations):
        return images
    parts = images.chunk(len(operations))
    return torch.cat([augment(own) for augment, own in zip(operations, parts, strict=True)])


def paste_each(images: Tensor, mixes: Sequence[Mix | None]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """CutMix the batch of each training with a box of its own; the arguments and the images' order stay.

    Args:
        images: [T x B, K, S, S], the batches one after the other.
        mixes: T of them; None: that batch stays as it is.

    Returns:
        images [T x B, K, S, S]; partner [T, B] int64, itself where nothing was pasted; share [T] of the own label.
    """
    num, batch, side = len(mixes), len(images) // len(mixes), images.shape[-1]
    inside, partner_TB, kept_T = torch.zeros(num, side, side, dtype=torch.bool), torch.arange(batch).repeat(num, 1), []
    for t, mix in enumerate(mixes):
        kept_T.append(1.0 if mix is None else mix.kept)
        if mix is not None:
            partner_TB[t] = mix.partner
            inside[t, slice(*mix.rows), slice(*mix.cols)] = True
    inside, partner_TB = inside.to(images.device), partner_TB.to(images.device)
    other = images[(partner_TB + torch.arange(num, device=images.device)[:, None] * batch).flatten()]
    pasted = torch.where(inside.repeat_interleave(batch, 0)[:, None], other, images)
    return pasted, (partner_TB, torch.tensor(kept_T, device=images.device))


def alike(trainings: Sequence[TrainingInput]) -> list[list[int]]:
    """Return which of some trainings can be stacked with each other: places in the argument, in its order."""
    groups: dict[object, list[int]] = {}
    for place, one in enumerate(trainings):
        if isinstance(one.train_images, Tensor) and one.fresh is None and not why_alone(one.protocol):
            images = one.train_images
            kind = (one.student, one.protocol.model_dump_json(), images.shape, images.dtype, one.ipc, one.draws)
            groups.setdefault(kind, []).append(place)
    return list(groups.values())
