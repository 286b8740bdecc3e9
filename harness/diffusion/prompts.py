"""Prompts to the states that a UNet attends to, with room for new tokens.

In: a CLIP tokenizer and text encoder; prompts; new tokens' rows. Out: states, rows, files. The pre-trained table is
never written: see `ExtendedEmbedding`.

Shapes: B prompts, L prompt length, D width of the text encoder, V rows of a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import UserError
from harness.diffusion.embeddings import ExtendedEmbedding, embedding_file


class PromptEncoder:
    """A frozen CLIP text encoder and its tokenizer, to which tokens can be added.

    Args:
        tokenizer: CLIPTokenizer; added tokens go into it.
        text_encoder: CLIPTextModel; its embedding table is replaced by an `ExtendedEmbedding` around it.
    """

    def __init__(self, tokenizer: Any, text_encoder: Any) -> None:
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder.eval().requires_grad_(False)
        self.embedding = ExtendedEmbedding(text_encoder.get_input_embeddings(), len(tokenizer))
        text_encoder.set_input_embeddings(self.embedding)
        self._tokens: dict[str, list[str]] = {}

    @property
    def device(self) -> torch.device:
        """Where the text encoder runs."""
        return self.embedding.rows.device

    def word_rows(self, word: str, count: int = 1) -> Tensor:
        """Return the embedding of a word, repeated: [count, D], the usual start of a new token.

        Raises:
            UserError: the tokenizer cuts the word into several tokens (or knows nothing of it).
        """
        ids = self.tokenizer(word, add_special_tokens=False).input_ids
        if len(ids) != 1:
            pieces = self.tokenizer.convert_ids_to_tokens(ids)
            raise UserError(
                f"the initialiser {word!r} has {len(ids)} tokens in this text encoder ({' '.join(pieces)}); a new "
                "token must start from exactly one. Use a single common word that describes the classes"
            )
        with torch.no_grad():
            return self.embedding(torch.tensor([ids], device=self.device))[0].repeat(count, 1)

    def add_token(self, name: str, rows_VD: Tensor) -> None:
        """Add a token with V rows; in prompts its name stands for all of them.

        Raises:
            UserError: the name exists or is no single word, or the rows have another width than the text encoder's.
        """
        width = self.embedding.table.embedding_dim
        if rows_VD.ndim != 2 or not len(rows_VD) or rows_VD.shape[1] != width:
            raise UserError(
                f"token {name!r} has rows of shape {list(rows_VD.shape)}; this text encoder takes [V, {width}]. "
                "Learned tokens work only with the text encoder they were trained with"
            )
        if not name or any(letter.isspace() for letter in name):
            raise UserError(f"a token's name must be one word without spaces, found {name!r}")
        names = [name, *(f"{name}_{i}" for i in range(1, len(rows_VD)))]
        known = set(self.tokenizer.get_vocab())
        taken = [n for n in names if {n, f"{n}</w>", n.lower(), f"{n.lower()}</w>"} & known]
        if taken:
            raise UserError(f"the tokenizer already has a token {taken[0]!r}; choose another name")
        self.tokenizer.add_tokens(names)
        self.embedding.append(rows_VD)
        self._tokens[name] = names

    def token_rows(self, name: str) -> Tensor:
        """Return the rows [V, D] of an added token, with gradient where they train."""
        start = self.tokenizer.convert_tokens_to_ids(name) - self.embedding.first
        return self.embedding.rows[start : start + len(self._tokens[name])]

    def token_file(self, name: str, about: Mapping[str, Any]) -> bytes:
        """Return an added token as the file that diffusers' `load_textual_inversion` reads; see `embedding_file`."""
        return embedding_file(name, self.token_rows(name), about)

    @property
    def max_length(self) -> int:
        """Tokens that a prompt may have, the two marks included."""
        return min(int(self.tokenizer.model_max_length), int(self.text_encoder.config.max_position_embeddings))

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return the text encoder's states [B, L, D]; gradient flows to tokens that train. Equal prompts run once.

        Raises:
            UserError: a prompt is too long; cutting it could lose its token unseen.
        """
        unique = list(dict.fromkeys(prompts))
        ids = self.tokenizer(
            [self._expand(p) for p in unique], padding="max_length", max_length=self.max_length
        ).input_ids
        for prompt, row in zip(unique, ids, strict=True):
            if len(row) > self.max_length:
                raise UserError(f"prompt {prompt!r} is {len(row)} tokens; the text encoder takes {self.max_length}")
        states = self.text_encoder(torch.tensor(ids, device=self.device)).last_hidden_state
        place = {prompt: i for i, prompt in enumerate(unique)}
        return states[[place[p] for p in prompts]]

    def _expand(self, prompt: str) -> str:
        """Write a token of several rows out, as diffusers' pipelines do."""
        if not self._tokens:
            return prompt
        longest_first = sorted(self._tokens, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda m: " ".join(self._tokens[m[0]]), prompt)
