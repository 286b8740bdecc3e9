"""What chance decides for an epoch: which images are in which batch, how each is augmented, how each batch is mixed.

In: a protocol, the labels, a seed. Out: an `Epoch` at a time, to be applied to images. Where a protocol keeps only a share
of its soft labels, epochs are dealt from the batches that those labels belong to.
Shapes: N training images, M images of an epoch, B batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.core import seeds
from harness.core.config.protocol import Protocol
from harness.training.augment import Draws, draw
from harness.training.cutmix import Mix, draw_mix
from harness.training.pool import Pool
from harness.training.recipe import Recipe
from harness.training.siamese import Augmentation, draw_for_each


@dataclass(frozen=True)
class Epoch:
    """What chance decided for one epoch.

    Attributes:
        order: [M] int64, the rows of its images, batch after batch.
        draws: how each of these is augmented.
        sizes: of the batches; their sum is M.
        mixes: CutMix of each batch, None where it stays as it is; drawn as they are asked for.
        siamese: what differentiable siamese augmentation does to each batch; drawn as it is asked for.
    """

    order: Tensor
    draws: Draws
    sizes: list[int]
    mixes: Iterable[Mix | None]
    siamese: Iterable[Augmentation]


class Batches:
    """Draws each epoch anew; rows, both augmentations and CutMix each have a random stream of their own.

    Args:
        protocol: says what is drawn.
        batch_size: images a step; the last batch of an epoch may be smaller.
        labels_N: of the training images, on the CPU.
        side: of the images, pixels.
        seed: the training seed.
        draws: k: the images are a pool, and an epoch sees 1/k of every class.
    """

    num_labels: int | None = None
    """Soft labels that are kept, one for each image of a kept batch; None: they are not counted."""

    def __init__(
        self, protocol: Protocol, batch_size: int, labels_N: Tensor, side: int, seed: int, draws: int = 1
    ) -> None:
        self.protocol, self.batch_size, self.side = protocol, batch_size, side
        self._num = len(labels_N)
        self._shuffle_rng = seeds.generator(seed, "train", "shuffle")
        self._augment_rng = seeds.generator(seed, "train", "augment")
        self._cutmix_rng = seeds.generator(seed, "train", "cutmix")
        self._siamese_rng = seeds.generator(seed, "train", "siamese")
        self._pool = Pool(labels_N, draws, seeds.generator(seed, "train", "pool")) if draws > 1 else None

    def epoch(self, number: int) -> Epoch:
        """Draw an epoch; they are numbered from 1 and asked for in turn."""
        order = self._shuffled(number)
        sizes = [len(rows) for rows in order.split(self.batch_size)]
        draws = draw(self.protocol, len(order), self.side, self._augment_rng)
        mixes = (self._mix(size, self._cutmix_rng) for size in sizes)
        return Epoch(order, draws, sizes, mixes, (self._siamese(size, self._siamese_rng) for size in sizes))

    def _shuffled(self, number: int) -> Tensor:
        """Return the rows of an epoch in random order."""
        rows = torch.arange(self._num) if self._pool is None else self._pool.rows(number)
        return rows[torch.randperm(len(rows), generator=self._shuffle_rng)]

    def _mix(self, size: int, rng: torch.Generator) -> Mix | None:
        probability, beta = self.protocol.cutmix_probability, self.protocol.cutmix_beta
        return draw_mix(size, self.side, probability=probability, beta=beta, rng=rng)

    def _siamese(self, size: int, rng: torch.Generator) -> Augmentation:
        return draw_for_each(self.protocol.dsa, size, rng)


class KeptBatches(Batches):
    """Deals epochs from the batches whose soft labels are kept: label pruning.

    A soft label belongs to an image as one batch shows it: its patches, its crop, its part in CutMix. So what is kept of a
    batch is all that makes it, and it comes back whole. Which ones are kept: the first that the training would draw.

    Paper (LPLD, Xiao and He, NeurIPS 2024): labels are pruned at random. Code: by batches, the first ones are kept, since
    each is random already; every step draws any of them with replacement; the last, smaller batch of an epoch is replaced
    by the one before. Here: the first ones, too; all are seen, in random order, before one comes again; smaller ones as
    well, because small sets would lose a large share of their images.
    Code: one file of labels for all students. Here: labels of its own for each training seed, so that the spread over
    seeds tells what this choice does.

    Args:
        epochs: of the training.
        **given: those of `Batches`.
    """

    def __init__(
        self, protocol: Protocol, batch_size: int, labels_N: Tensor, side: int, seed: int, draws: int, epochs: int
    ) -> None:
        super().__init__(protocol, batch_size, labels_N, side, seed, draws)
        self._seed, first = seed, self._shuffled(1)
        self._steps = math.ceil(len(first) / batch_size)
        self.num_batches = max(1, math.floor(protocol.labels_kept * epochs * self._steps + 1e-9))
        more = math.ceil(self.num_batches / self._steps)
        self._orders = [order.int() for order in (first, *(self._shuffled(number) for number in range(2, more + 1)))]
        whole, rest = divmod(self.num_batches, self._steps)
        self.num_labels = whole * len(first) + rest * batch_size
        self._deal_rng = seeds.generator(seed, "train", "kept", "deal")
        self._dealt: list[int] = []

    def epoch(self, number: int) -> Epoch:
        """Deal as many batches as an epoch has; which number it has makes no difference."""
        while len(self._dealt) < self._steps:
            self._dealt += torch.randperm(self.num_batches, generator=self._deal_rng).tolist()
        batches = [self._batch(one) for one in self._dealt[: self._steps]]
        self._dealt = self._dealt[self._steps :]
        rows, draws, mixes, siamese = zip(*batches, strict=True)
        return Epoch(torch.cat(rows), Draws.cat(draws), [len(own) for own in rows], mixes, siamese)

    def _batch(self, number: int) -> tuple[Tensor, Draws, Mix | None, Augmentation]:
        """Return rows, augmentation, CutMix and siamese augmentation of a kept batch: equal each time."""
        epoch, place = divmod(number, self._steps)
        rows = self._orders[epoch][place * self.batch_size :][: self.batch_size].long()
        rng = seeds.generator(self._seed, "train", "kept", number)
        draws = draw(self.protocol, len(rows), self.side, rng)
        return rows, draws, self._mix(len(rows), rng), self._siamese(len(rows), rng)


def make_batches(protocol: Protocol, recipe: Recipe, labels_N: Tensor, side: int, seed: int, draws: int = 1) -> Batches:
    """Return what draws the epochs of a training; arguments as in `Batches`."""
    given = (protocol, recipe.batch_size, labels_N.cpu(), side, seed, draws)
    if protocol.labels == "soft" and protocol.labels_kept < 1:
        return KeptBatches(*given, recipe.epochs)
    return Batches(*given)
