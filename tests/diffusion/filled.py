"""The deterministic fills of tests/golden/README.md, and the golden files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> dict[str, Any]:
    """Return a golden JSON file."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def hash_values(count: int) -> np.ndarray:
    """u(k) of the README for k = 0..count-1, in [-1/2, 1/2)."""
    h = (np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(12345)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(16)
    h = (h * np.uint64(2246822519)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(13)
    return h.astype(np.float64) / 2**32 - 0.5


def hash_fill(model: nn.Module) -> nn.Module:
    """Fill a DiT as golden/dit_forward.json was; scales become 1 + 0.2 u."""
    for name, parameter in model.named_parameters():
        if name == "pos_embed":
            continue
        u = hash_values(parameter.numel())
        if parameter.ndim >= 2:
            values = u * np.sqrt(12) / np.sqrt(parameter.numel() / parameter.shape[0])
        else:
            values = 0.2 * u + (1.0 if "gamma" in name else 0.0)
        parameter.data.copy_(torch.from_numpy(values.reshape(tuple(parameter.shape))))
    return model


def sine_input(*shape: int) -> Tensor:
    """sin(0.01 k) over the whole tensor."""
    count = int(np.prod(shape))
    return torch.from_numpy(np.sin(0.01 * np.arange(count))).float().view(*shape)
