"""Independent random streams from named parts, so that the order of work, the executor and the number of workers never matter."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(*parts: object) -> int:
    """Hash the parts ("train", 3, "shuffle", ...) to a seed in [0, 2**63)."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """Return a CPU generator seeded with `derive(*parts)`; CPU so that every device sees the same draws."""
    import torch

    return torch.Generator().manual_seed(derive(*parts))
