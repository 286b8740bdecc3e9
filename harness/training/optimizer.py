"""The optimiser that a protocol asks for."""

from __future__ import annotations

import torch
from torch import nn

from harness.core.config.protocol import Protocol
from harness.training.recipe import Recipe


def make_optimizer(model: nn.Module, protocol: Protocol, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the protocol's optimiser over all parameters.

    On a GPU all parameters are updated in one kernel.

    Where weight decay is for matrices only, it is on the parameters called "weight" that have two dimensions or more.
    Source: golden/protocol.json, "optimizer"; golden/rded.json, "groups".
    """
    if protocol.decay_matrices_only:
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in model.named_parameters():
            groups["weight" in name and parameter.ndim > 1].append(parameter)
        parameters = [
            {"params": groups[True], "weight_decay": recipe.weight_decay},
            {"params": groups[False], "weight_decay": 0.0},
        ]
    else:
        parameters = [{"params": list(model.parameters()), "weight_decay": recipe.weight_decay}]
    fused = next(model.parameters()).device.type == "cuda"
    if protocol.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=recipe.lr, betas=(0.9, 0.999), fused=fused)
    return torch.optim.SGD(parameters, lr=recipe.lr, momentum=protocol.momentum, fused=fused)
