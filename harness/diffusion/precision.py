"""In which precision a network multiplies, and whether it is compiled: faster, with slightly other results.

In: a network or a device, and what the method's config says, where `auto` is resolved already. Both are part of a job's key,
because both change rounding; `float32` without compilation is what the published numbers were computed in.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

from harness.core.errors import UserError, did_you_mean

Precision = Literal["float32", "bfloat16"]


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return a context in which matrix products and attention run in `precision`; weights stay float32."""
    return nullcontext() if precision == "float32" else torch.autocast(device.type, dtype=torch.bfloat16)


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse a precision that does not exist, or that the device would only imitate.

    Raises:
        UserError: it is one of these.
    """
    known = list(get_args(Precision))
    if precision not in known:
        raise UserError(f"unknown precision {precision!r}.{did_you_mean(precision, known)} Known: {', '.join(known)}.")
    if precision == "bfloat16" and device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        raise UserError(
            f"precision bfloat16: {torch.cuda.get_device_name(device)} has no bfloat16 arithmetic; use float32"
        )
