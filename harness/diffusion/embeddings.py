"""The embedding table of a frozen text encoder with room for new tokens, and the files that diffusers reads.

Shapes: B batch, L prompt length, K new rows, V rows of one token, D width of the text encoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class ExtendedEmbedding(nn.Module):
    """A frozen embedding table with new rows behind it.

    Args:
        table: the pre-trained table; kept, never changed.
        first: the id of the first new row: the size of the tokenizer's vocabulary, which may be below the table's.
    """

    def __init__(self, table: nn.Embedding, first: int) -> None:
        super().__init__()
        self.table = table.requires_grad_(False)
        self.first = first
        self.rows = nn.Parameter(table.weight.new_empty(0, table.embedding_dim), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """The pre-trained table."""
        return self.table.weight

    def append(self, rows_KD: Tensor) -> None:
        """Add rows; their ids follow the last one's."""
        rows = torch.cat([self.rows.detach(), rows_KD.to(self.rows)])
        self.rows = nn.Parameter(rows, requires_grad=False)

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Return the embeddings [B, L, D]."""
        known = self.table(ids_BL.clamp(max=len(self.table.weight) - 1))
        if not len(self.rows):
            return known
        new = functional.embedding((ids_BL - self.first).clamp(min=0), self.rows)
        return torch.where((ids_BL >= self.first)[..., None], new, known)


def embedding_file(token: str, rows_VD: Tensor, about: Mapping[str, Any]) -> bytes:
    """Return one learned token as the safetensors file that diffusers' `load_textual_inversion` reads.

    The key is the token; diffusers calls the rows after the first TOKEN_1, TOKEN_2 and so on, as we do. `about` goes
    into the file's metadata, which diffusers ignores: as JSON under one key, since safetensors writes several in an
    order that changes from call to call.
    """
    from safetensors.torch import save

    metadata = {"about": json.dumps(dict(about), sort_keys=True)}
    return save({token: rows_VD.detach().cpu().contiguous()}, metadata=metadata)
