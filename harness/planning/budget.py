"""Budgets: how many images per class a request asks for, where a budget in bytes is turned into images.

In: a suite and a request. Out: the suite with the request's budget. No files, no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.core.config.base import checked
from harness.core.config.suite import Budget, Suite
from harness.core.errors import UserError
from harness.core.text import parse_bytes

if TYPE_CHECKING:
    from harness.planning.request import RunRequest


def as_sizes(texts: Iterable[str | int]) -> tuple[int, ...]:
    """Return bytes from what people write, such as "75KiB".

    Raises:
        UserError: a text is no size.
    """
    try:
        return tuple(parse_bytes(text) for text in texts)
    except ValueError as error:
        raise UserError(f"--bytes: {error}.") from None


def with_budget(suite: Suite, request: RunRequest) -> Suite:
    """Return the suite with the request's IPCs or bytes, and seeds."""
    changes: dict[str, Any] = {}
    for field, values in (
        ("ipc", request.ipc),
        ("bytes", request.bytes),
        ("training_seeds", request.seeds),
        ("distillation_seeds", request.distill_seeds),
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

    Images are reckoned uncompressed, 3 bytes a pixel, because what a PNG takes is known only once it is made; the
    tables show what is really kept.
    """
    budget, per_ipc = suite.budget, num_classes * suite.image_bytes
    if budget.ipc:
        return suite
    ipc = tuple(size // per_ipc for size in budget.bytes)
    for size, images in zip(budget.bytes, ipc, strict=True):
        if images == 0:
            raise UserError(
                f"a budget of {size:,} bytes holds less than one image for each of {num_classes} classes: one of "
                f"{suite.image_size} x {suite.image_size} pixels takes {suite.image_bytes:,}, uncompressed. The smallest "
                f"budget of suite {suite.name} is {per_ipc:,} bytes."
            )
        if ipc.count(images) > 1:
            same = [f"{b:,}" for b, n in zip(budget.bytes, ipc, strict=True) if n == images]
            raise UserError(
                f"budgets of {' and '.join(same)} bytes hold equally many images per class ({images}); give one."
            )
    return suite.model_copy(update={"budget": budget.model_copy(update={"ipc": ipc})})
