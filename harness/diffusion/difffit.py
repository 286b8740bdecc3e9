"""DiffFit: fine-tune a DiT by its biases, its class table and a few scales, then fold the scales away.

In: a DiT. Out: which of its parameters train; after training, an ordinary DiT of the same shape.

Source: Xie et al., DiffFit, ICCV 2023, as Minimax Diffusion (CVPR 2024) uses it; golden/dit_forward.json.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn

from harness.core.errors import UserError, did_you_mean
from harness.diffusion.dit import Attention, Block, DiT

Mode = Literal["difffit", "full", "bias"]

MAX_SCALED_BLOCKS = 14
"""The paper's code lists the first 14 of 28 blocks; a shallower network carries scales in all its blocks."""


def add_scales(model: DiT) -> None:
    """Give the first 14 blocks (or all, where there are fewer) their scales, all at 1: the outputs do not change."""
    for block in list(model.blocks)[:MAX_SCALED_BLOCKS]:
        assert isinstance(block, Block)
        like = block.attn.proj.weight
        width = len(like)
        block.gamma1, block.gamma2 = _ones(width, like), _ones(width, like)
        block.attn.gamma1, block.attn.gamma2 = _ones(3 * width, like), _ones(width, like)


def has_scales(model: DiT) -> bool:
    """Return whether any block carries scales."""
    return any(block.gamma1 is not None for block in model.blocks)


def drop_scales(model: DiT) -> None:
    """Remove the scales without folding them."""
    for block in model.blocks:
        assert isinstance(block, Block)
        block.gamma1 = block.gamma2 = block.attn.gamma1 = block.attn.gamma2 = None


def trainable_names(model: DiT, mode: str) -> list[str]:
    """Return the names of the parameters that train.

    Args:
        model: with scales, for "difffit".
        mode: "difffit": names with "bias", "gamma" or "y_embed" (the rule's fourth word, "norm", matches nothing, as
            all norms are without parameters); "bias": biases only (BitFit); "full": all but the position table.

    Raises:
        UserError: the mode is unknown.
    """
    names = [name for name, _ in model.named_parameters()]
    match mode:
        case "difffit":
            return [n for n in names if any(word in n for word in ("bias", "gamma", "y_embed"))]
        case "bias":
            return [n for n in names if "bias" in n]
        case "full":
            return [n for n in names if n != "pos_embed"]
    modes = list(get_args(Mode))
    raise UserError(f"unknown fine-tuning mode {mode!r}.{did_you_mean(mode, modes)} Known: {', '.join(modes)}.")


def folded_names(model: DiT) -> list[str]:
    """Return the names of the parameters that `fold` changes."""
    return [
        f"blocks.{i}.{linear}.{kind}"
        for i, block in enumerate(model.blocks)
        if block.gamma1 is not None
        for linear in ("attn.qkv", "attn.proj", "mlp.fc2")
        for kind in ("weight", "bias")
    ]


@torch.no_grad()
def fold(model: DiT) -> None:
    """Multiply the scales into the weights and remove them; the function stays the same but for rounding.

    A scale on a linear's output multiplies its rows and its bias. The scale of a gated branch commutes with the gate,
    so it joins the branch's last linear.
    """
    for block in model.blocks:
        assert isinstance(block, Block)
        attention: Attention = block.attn
        if block.gamma1 is None:
            continue
        assert block.gamma2 is not None
        assert attention.gamma1 is not None
        assert attention.gamma2 is not None
        _scale_rows(attention.qkv, attention.gamma1)
        _scale_rows(attention.proj, attention.gamma2 * block.gamma1)
        _scale_rows(block.mlp.fc2, block.gamma2)
    drop_scales(model)


def _ones(size: int, like: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(torch.ones(size, dtype=like.dtype, device=like.device))


def _scale_rows(linear: nn.Linear, scale: torch.Tensor) -> None:
    linear.weight.mul_(scale[:, None])
    linear.bias.mul_(scale)
