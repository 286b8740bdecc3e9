"""Which images of a pool an epoch sees: for generative budgets, whose students may see fresh images.

In: labels of k times as many images as an epoch sees. Out: rows, epoch by epoch.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Pool:
    """Deals a pool of k times as many images as an epoch sees, each class in k equal hands, anew after k epochs."""

    def __init__(self, labels_N: Tensor, draws: int, rng: torch.Generator) -> None:
        self.labels_N, self.draws, self.rng = labels_N, draws, rng
        self._hand_N = torch.zeros_like(labels_N)

    def rows(self, epoch: int) -> Tensor:
        """Return the rows that an epoch (from 1, in order) sees."""
        if (epoch - 1) % self.draws == 0:
            shuffled = torch.randperm(len(self.labels_N), generator=self.rng)
            for label in self.labels_N.unique():
                members = shuffled[self.labels_N[shuffled] == label]
                self._hand_N[members] = torch.arange(len(members)) % self.draws
        return (self._hand_N == (epoch - 1) % self.draws).nonzero()[:, 0]
