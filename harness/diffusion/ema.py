"""An exponential moving average over the parameters that train; everything frozen is its own average."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class Ema:
    """Averages of parameters, updated in one fused call.

    Paper (Minimax Diffusion): an average over all parameters. Here: over the trainable ones, because the average of a
    frozen parameter is the parameter; the numbers are the same, and DiT-XL/2 keeps 7 MB in place of 2.7 GB.

    Args:
        parameters: what trains.
        decay: weight of the old average at each update, in [0, 1).

    Attributes:
        values: the averages, in the parameters' order; they start as copies of the parameters.
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self.decay = decay
        self._parameters = list(parameters)
        self.values = [p.detach().clone() for p in self._parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Move each average by (1 - decay) of its distance to the parameter."""
        torch._foreach_lerp_(self.values, self._parameters, 1.0 - self.decay)

    @torch.no_grad()
    def copy_to_parameters(self) -> None:
        """Overwrite the parameters by their averages."""
        torch._foreach_copy_(self._parameters, self.values)
