"""Batches that fit the device: chosen by an estimate, halved when its memory runs out. Never with another result.

In: how many items, how many at once at most, and work on a range of them that depends on no other item. Out: the results
in order. A batch that failed is begun anew, with the items' own random streams, so that only rounding tells the batch
sizes apart (tolerances in tests/diffusion/test_adaptive_batches.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from harness.core.errors import UserError

Result = TypeVar("Result")


FREE_SHARE = 0.8
"""Of the free memory that an estimate may fill; the rest is for workspaces and fragments."""


_LOG = logging.getLogger(__name__)


class Batches:
    """Splits work and remembers what fitted, so that memory runs out once and not for every class.

    Attributes:
        notes: one line for each kind of work whose batches were halved, for logs and records.
    """

    def __init__(self) -> None:
        self._largest: dict[str, int] = {}
        self.notes: list[str] = []

    def map(
        self,
        what: str,
        count: int,
        asked: int,
        work: Callable[[int, int], Result],
        *,
        device: torch.device,
        bytes_each: float = 0,
    ) -> Iterator[Result]:
        """Yield the result of every batch, in order.

        Args:
            what: names the work in messages, such as "sampling".
            count: number of items.
            asked: items at once, at most.
            work: takes the first item and the one after the last.
            device: where it runs.
            bytes_each: estimated device memory of one item, bytes; 0: unknown.

        Raises:
            UserError: a single item does not fit.
        """
        size = min(asked, self._largest.get(what, asked), fitting(bytes_each, device))
        start = 0
        while start < count:
            end = min(count, start + size)
            try:
                result = work(start, end)
            except torch.OutOfMemoryError as error:
                reason = str(error).split("\n")[0]
            else:
                yield result
                start = end
                continue
            # Outside of the handler: there the failed call's frames would still hold its tensors.
            size = self._halve(what, end - start, device, reason)

    def _halve(self, what: str, size: int, device: torch.device, reason: str) -> int:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if size == 1:
            raise UserError(
                f"{what}: even a single image does not fit in the memory of {device} ({reason}). Stop other programs "
                "on the device, or use a larger one."
            )
        self._largest[what] = size // 2
        line = f"{what}: out of memory with batch size {size} on {device}; continuing with {size // 2}"
        self.notes = [note for note in self.notes if not note.startswith(f"{what}:")] + [line]
        _LOG.warning(line)
        return size // 2


def fitting(bytes_each: float, device: torch.device) -> int:
    """Return how many items of `bytes_each` bytes fit the free memory of a GPU; elsewhere there is no limit."""
    if device.type != "cuda" or bytes_each <= 0:
        return 2**31
    free, _ = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(1, int(FREE_SHARE * (free + cached) / bytes_each))
