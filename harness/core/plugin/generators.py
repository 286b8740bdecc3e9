"""What a method may ask of the suite's generators; `task.generator(kind)` returns one, a copy of this job's own.

Shapes: B images or latents, C h w of a latent, S image side, N real images. Images are uint8 RGB, 0 to 255; every `rng`
is a CPU stream from `task.rng(stage)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.core.classes import ClassInfo
from harness.core.plugin.denoising import Denoising, Guide
from harness.core.progress import ProgressCallback

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class LatentCache(Protocol):
    """Real images, encoded once: a mean and a standard deviation for each, and for its mirror image where asked for."""

    labels: Tensor

    def __len__(self) -> int: ...

    def draw(self, rows_B: Tensor, rng: torch.Generator) -> Tensor:
        """Draw latents [B, C, h, w] of these rows from their posteriors, on the CPU."""


class Generator(Protocol):
    """What both kinds have in common."""

    @property
    def device(self) -> torch.device: ...

    @property
    def image_size(self) -> int:
        """Side of the generator's own images, pixels."""

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w)."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results should know; hand it on as `DistilledSet(..., notes=...)`."""

    def encode_moments(self, images_B3SS: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation [B, C, h, w] of the latents of images."""

    def latent_cache(
        self, images_u8: Any, labels: Tensor, *, flips: bool, report: ProgressCallback = ..., file: Path | None = None
    ) -> LatentCache:
        """Encode real images [N, 3, S, S] once. `flips`: mirror images too; `file`: memory-mapped there."""


class FineTuner(Protocol):
    """Trains a generator's network in place, with AdamW and an EMA."""

    def loss(self, x0_BChw: Tensor, labels_B: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the denoising loss [B] and the predicted clean latents [B, C, h, w]."""

    def step(self, loss: Tensor) -> None:
        """Go one optimiser step down a scalar loss."""

    def state(self) -> dict[str, Tensor]:
        """Return the EMA of what trains, for `apply_finetuned`."""

    def checkpoint(self) -> dict[str, Any]: ...

    def restore(self, checkpoint: Mapping[str, Any]) -> None: ...


class ClassConditionalGenerator(Generator, Denoising, Protocol):
    """Samples images by class label (DiT); single steps: denoising.py. Declare `needs = {"class_conditional_generator"}`."""

    def accelerate(self, *, precision: Any = ..., compiled: bool = ...) -> None:
        """From now on, compute in "float32" or "bfloat16", compiled or not."""

    def label_of(self, class_id: str) -> int:
        """Return the generator's label for a class of the suite."""

    def sample(
        self,
        c: ClassInfo,
        n: int,
        *,
        steps: int,
        guidance: float,
        rng: torch.Generator,
        sampler: str = ...,
        batch_size: int = ...,
        guide: Guide | None = ...,
        report: ProgressCallback = ...,
    ) -> Tensor:
        """Return images [n, 3, S, S] on the CPU; image i does not depend on n. Samplers: ddpm, ddim, dpmsolver++."""  # fmt: skip

    def decode(self, latents_BChw: Tensor, *, batch_size: int = ...) -> Tensor:
        """Return images [B, 3, S, S] on the CPU."""

    def finetune(
        self, *, mode: str, lr: float, weight_decay: float, ema_decay: float, label_dropout: float = ...
    ) -> FineTuner:
        """Train "difffit", "bias" or "full" parameters, from the pre-trained weights."""

    def apply_finetuned(self, state: Mapping[str, Tensor]) -> None:
        """From now on, sample with the parameters that a `FineTuner` returned."""
