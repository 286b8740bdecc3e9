"""Budgets: how many images per class a request asks for, where a budget in bytes is turned into images.

In: a suite and what a request asks for. Out: the suite with that budget. No files, no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.core.config.base import checked
from harness.core.config.suite import Budget, Suite
from harness.core.errors import UserError
from harness.core.text import parse_bytes


def as_sizes(texts: Iterable[str | int]) -> tuple[int, ...]:
    """Return bytes from what people write, such as "75KiB".

    Raises:
        UserError: a text is no size.
    """
    try:
        return tuple(parse_bytes(text) for text in texts)
    except ValueError as error:
        raise UserError(f"--bytes: {error}.") from None


def with_budget(
    suite: Suite,
    *,
    ipc: Iterable[int] | None,
    bytes: Iterable[int] | None,
    training_seeds: Iterable[int] | None,
    distillation_seeds: Iterable[int] | None,
) -> Suite:
    """Return the suite with these IPCs or bytes, and seeds; None keeps the suite's."""
    changes: dict[str, Any] = {}
    for field, values in (
        ("ipc", ipc),
        ("bytes", bytes),
        ("training_seeds", training_seeds),
        ("distillation_seeds", distillation_seeds),
    ):
        if values is not None:
            changes[field] = tuple(sorted(set(values)))
    if not changes:
        return suite
    given = suite.budget.model_dump()
    if "ipc" in changes or "bytes" in changes:
        given |= {"ipc": (), "bytes": ()}
    budget = checked(Budget, {**given, **changes}, "request")
    return suite.model_copy(update={"budget": budget})


def with_ipc(suite: Suite, num_classes: int) -> Suite:
    """Return the suite with the IPCs that its budgets in bytes hold; as it is where they are given as IPC.

    Images are reckoned uncompressed, a byte a pixel and channel, because what a PNG takes is known only once it is made; the
    tables show what is really kept.
    """
    budget, per_ipc = suite.budget, num_classes * suite.image_bytes
    if budget.ipc:
        return suite
    ipc = tuple(size // per_ipc for size in budget.bytes)
    for size, images in zip(budget.bytes, ipc, strict=True):
        if images == 0:
            raise UserError(
                f"a budget of {size:,} bytes is too small for one image for each of {num_classes} classes: an "
                f"uncompressed image of {suite.image_size} x {suite.image_size} pixels takes {suite.image_bytes:,}. "
                f"The smallest budget of suite {suite.name} is {per_ipc:,} bytes."
            )
        if ipc.count(images) > 1:
            same = [f"{b:,}" for b, n in zip(budget.bytes, ipc, strict=True) if n == images]
            raise UserError(
                f"budgets of {' and '.join(same)} bytes hold the same number of images per class ({images}); keep one "
                "of them."
            )
    return suite.model_copy(update={"budget": budget.model_copy(update={"ipc": ipc})})
