"""What a method may ask of a text-to-image generator: `task.generator("text_to_image")`.

Shapes: B images, C h w of a latent, S image side, L prompt length, D width of the text encoder, V rows of a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from harness.core.classes import ClassInfo
from harness.core.plugin.generators import Generator
from harness.core.progress import ProgressCallback

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class TokenLearner(Protocol):
    """Trains new tokens of a frozen text encoder."""

    def loss(self, latents_BChw: Tensor, prompts: Sequence[str], rng: torch.Generator) -> Tensor:
        """Return the denoising loss [B] of clean latents under their prompts."""

    def step(self, loss: Tensor) -> None: ...

    def finish(self) -> dict[str, Tensor]:
        """Freeze the tokens and return the rows [V, D] of each."""

    def checkpoint(self) -> dict[str, Any]: ...

    def restore(self, checkpoint: Mapping[str, Any]) -> None: ...


class PromptEncoder(Protocol):
    """The text encoder, to which tokens can be added."""

    def add_token(self, name: str, rows_VD: Tensor) -> None: ...

    def token_file(self, name: str, about: Mapping[str, Any]) -> bytes:
        """Return a token as the file that diffusers' `load_textual_inversion` reads."""

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return the states [B, L, D] that the denoiser attends to."""


class TextToImageGenerator(Generator, Protocol):
    """Samples images from prompts (Stable Diffusion). Declare `needs = {"text_to_image_generator"}`."""

    @property
    def text(self) -> PromptEncoder: ...

    @property
    def num_bytes(self) -> int:
        """Size of all weights, bytes: the shared part of a generative set (`Stored.shared_bytes`)."""

    def word_of(self, c: ClassInfo) -> str:
        """Return the word or words that name a class in a prompt."""

    def learn_tokens(
        self, names: Sequence[str], words: Sequence[str], *, rows: int = ..., lr: float, weight_decay: float = ...
    ) -> TokenLearner:
        """Add a token for each name, initialised from its word, and return their trainer."""

    def denoising_loss(self, latents_BChw: Tensor, states_BLD: Tensor, rng: torch.Generator) -> Tensor:
        """Return the denoising loss [B] of clean latents."""

    def sample(
        self,
        prompts: Sequence[str],
        seeds_B: Sequence[int],
        *,
        steps: int,
        guidance: float,
        sampler: str = ...,
        negative: str = ...,
        batch_size: int = ...,
        side: int | None = ...,
        start: Tensor | None = ...,
        strength: float = ...,
        report: ProgressCallback = ...,
    ) -> Tensor:
        """Return an image [B, 3, S, S] per prompt, on the CPU; equal prompt and seed give an equal image.

        Samplers: ddim, dpmsolver++, ddpm, pndm (Stable Diffusion's own). Image-to-image: latents `start` [B, C, h, w] in
        units of the denoiser, and `strength`, the fraction of the steps that is run from them.
        """
