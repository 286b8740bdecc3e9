"""The optimiser that a protocol asks for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from harness.core.config.protocol import Protocol
from harness.training.recipe import Recipe


def make_optimizer(
    model: nn.Module, protocol: Protocol, recipe: Recipe, stacked: Mapping[str, Tensor] | None = None
) -> torch.optim.Optimizer:
    """Return the protocol's optimiser over all parameters of a network, or over those of several networks of its kind.

    On a GPU all parameters are updated in one kernel.

    Where weight decay is for matrices only, it is on the parameters called "weight" that have two dimensions or more.
    Source: golden/protocol.json, "optimizer"; golden/rded.json, "groups".

    Args:
        model: the network, or one of its kind.
        protocol: which optimiser.
        recipe: learning rate and weight decay.
        stacked: by parameter's name, those of several networks, one after the other; None: the network's own.
    """
    own = dict(model.named_parameters())
    used = own if stacked is None else stacked
    if protocol.decay_matrices_only:
        groups: dict[bool, list[Tensor]] = {True: [], False: []}
        for name, parameter in own.items():
            groups["weight" in name and parameter.ndim > 1].append(used[name])
        parameters = [
            {"params": groups[True], "weight_decay": recipe.weight_decay},
            {"params": groups[False], "weight_decay": 0.0},
        ]
    else:
        parameters = [{"params": [used[name] for name in own], "weight_decay": recipe.weight_decay}]
    fused = next(iter(used.values())).device.type == "cuda"
    if protocol.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=recipe.lr, betas=(0.9, 0.999), fused=fused)
    return torch.optim.SGD(parameters, lr=recipe.lr, momentum=protocol.momentum, fused=fused)
