"""A network's forward pass as the protocol executes it: in its precision, and compiled where it says so.

Both change rounding only, and both are part of a training's key. Shapes: B batch, C classes, K channels, S image side.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError

SIZES = 2
"""Batch sizes that are compiled while a network trains, and as many while it is scored."""


class Forward:
    """Calls a network; where the protocol says `compiled`, through a graph for each of the first two batch sizes.

    These are a full batch and the last one of an epoch or a test split. Any other size runs uncompiled, because each takes
    a compilation of its own.

    Args:
        model: in training or evaluation mode, which may change between calls.
        protocol: its `compiled`.
    """

    def __init__(self, model: nn.Module, protocol: Protocol) -> None:
        self.model = model
        self._sizes: dict[bool, set[int]] = {True: set(), False: set()}
        self._graph = None
        if protocol.compiled:
            torch.compiler.reset()  # what this process compiled before would count towards torch's limit of variants
            self._graph = torch.compile(model.forward, dynamic=False)

    def __call__(self, images_BKSS: Tensor) -> Tensor:
        """Return the logits [B, C].

        Raises:
            UserError: the network cannot be compiled on this machine.
        """
        sizes = self._sizes[self.model.training]
        if len(sizes) < SIZES:
            sizes.add(len(images_BKSS))
        if self._graph is None or len(images_BKSS) not in sizes:
            return self.model(images_BKSS)
        try:
            return self._graph(images_BKSS)
        except RuntimeError as error:
            if not type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
                raise
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"protocol.compiled: torch.compile failed on this machine ({reason}). It needs a C++ compiler (g++) and "
                "Python's header files, on a GPU also triton. Install them, or set protocol.compiled to false."
            ) from error


def autocast(protocol: Protocol, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of the protocol's precision; in float32 that of the caller stays."""
    if protocol.precision != "bfloat16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
