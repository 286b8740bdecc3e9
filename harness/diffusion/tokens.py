"""New tokens for a frozen text encoder: the table that holds them, how they train, and the files that diffusers reads.

In: names, an initialiser word, latents with prompts. Out: learned rows by token. Everything else stays as it was, bit
for bit: the frozen table is never written, and only the new rows get gradients.

Shapes: B batch, L prompt length, K new rows, V rows of one token, D width of the text encoder, C h w of a latent.
Source: Gal et al., An Image is Worth One Word, ICLR 2023 (textual inversion).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from harness.diffusion.prompts import PromptEncoder


_MOMENTS = ("exp_avg", "exp_avg_sq")


class TokenLearner:
    """Trains new tokens of a text-to-image generator with AdamW; all else is frozen. Several classes share a batch.

    Args:
        text: the generator's text encoder; it gets the tokens, and they stay in it.
        denoising_loss: the generator's, from (latents [B, C, h, w], states [B, L, D], random stream) to losses [B].
        initial: token name -> its first rows [V, D], see `PromptEncoder.word_rows`.
        lr: constant AdamW learning rate.
        weight_decay: AdamW weight decay, which pulls rows towards zero.

    Raises:
        UserError: a token of that name exists.
        ValueError: the generator has learned tokens already.
    """

    def __init__(
        self,
        text: PromptEncoder,
        denoising_loss: Callable[[Tensor, Tensor, torch.Generator], Tensor],
        initial: Mapping[str, Tensor],
        *,
        lr: float,
        weight_decay: float,
    ) -> None:
        if len(text.embedding.rows):
            raise ValueError(
                "this generator already has new tokens; start from a fresh copy, so that only new rows are trained"
            )
        for name, rows_VD in initial.items():
            text.add_token(name, rows_VD)
        self.text = text
        self.denoising_loss = denoising_loss
        self.names = tuple(initial)
        self._rows = text.embedding.rows.requires_grad_(True)
        self._optimizer = torch.optim.AdamW([self._rows], lr=lr, weight_decay=weight_decay, fused=True)
        self.num_steps = 0

    def loss(self, latents_BChw: Tensor, prompts: Sequence[str], rng: torch.Generator) -> Tensor:
        """Return the denoising loss [B] of clean latents under their prompts; see the generator's `denoising_loss`."""
        return self.denoising_loss(latents_BChw, self.text.encode(prompts), rng)

    def step(self, loss: Tensor) -> None:
        """Go one optimiser step down the scalar `loss`.

        AdamW moves all rows, those of classes outside the batch by their momentum, as in diffusers' example.
        """
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.num_steps += 1

    def embeddings(self) -> dict[str, Tensor]:
        """Return the learned rows [V, D] of every token, on the CPU."""
        return {name: self.text.token_rows(name).detach().cpu().clone() for name in self.names}

    def finish(self) -> dict[str, Tensor]:
        """Freeze the tokens and return them as `embeddings` does."""
        self._rows.requires_grad_(False)
        return self.embeddings()

    def checkpoint(self) -> dict[str, Any]:
        """Return all that `restore` needs: tensors on the CPU, and "num_steps"."""
        moments = self._optimizer.state[self._rows]
        zeros = torch.zeros_like(self._rows, device="cpu")
        kept = {f"tokens/{key}": moments[key].cpu().clone() if moments else zeros for key in _MOMENTS}
        return {"num_steps": self.num_steps, "tokens/rows": self._rows.detach().cpu().clone(), **kept}

    @torch.no_grad()
    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Continue where `checkpoint` was taken; on a CPU the continuation is bit-equal to an uninterrupted run.

        Raises:
            ValueError: the checkpoint is of other tokens.
        """
        rows = checkpoint["tokens/rows"]
        if rows.shape != self._rows.shape:
            raise ValueError(
                f"the checkpoint has token rows {list(rows.shape)}; this training has {list(self._rows.shape)}"
            )
        self.num_steps = int(checkpoint["num_steps"])
        self._rows.copy_(rows)
        state = {key: checkpoint[f"tokens/{key}"].clone() for key in _MOMENTS}
        state["step"] = torch.tensor(float(self.num_steps))
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": {0: state} if self.num_steps else {}, "param_groups": groups})
