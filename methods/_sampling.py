"""How a method samples the class-conditional generator: the options that all of them share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness import UNHASHED, ClassConditionalGenerator, Method, Task, search

FAST_STEPS = 20
"""Steps of the sampler `fast`."""

WORTH_COMPILING = 128
"""Side of an image, pixels, from which `compiled: auto` compiles on a GPU: below, compiling takes longer than drawing."""


class Sampling(Method.Config):
    """How images are drawn from a class-conditional generator."""

    sampling_steps: int = Field(50, ge=2, le=1000, description="denoising steps; 50 as in Minimax Diffusion, CVPR 2024")
    guidance: float = Field(
        4.0,
        ge=1.0,
        description="classifier-free guidance scale; 4.0 as in DiT's samples",
        json_schema_extra=search("log", 1.0, 8.0),  # clear images against varied ones: the one choice of plain sampling
    )
    sampler: Literal["ddpm", "ddim", "dpmsolver++", "fast"] = Field(
        "ddpm",
        description=f"ddpm: ancestral, as in the paper; fast: dpmsolver++ with {FAST_STEPS} steps, whatever sampling_steps is",
    )
    sampling_batch: int = Field(
        100,
        ge=1,
        description="images denoised at once, at most; fewer where memory asks for it",
        json_schema_extra=UNHASHED,
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of the denoiser's matrix products; auto: bfloat16 on a GPU, float32 on a CPU; bfloat16 gives slightly "
        "other images",
    )
    compiled: bool | Literal["auto"] = Field(
        "auto",
        description=f"torch.compile the denoiser, which rounds otherwise; auto: on a GPU, from {WORTH_COMPILING} pixels",
    )

    def at_device(self, device: str, side: int) -> Sampling:
        """Return the options with what `auto` means there."""
        gpu = device == "cuda"
        meant = {"precision": "bfloat16" if gpu else "float32", "compiled": gpu and side >= WORTH_COMPILING}
        return self.model_copy(update={name: value for name, value in meant.items() if getattr(self, name) == "auto"})

    @property
    def chain(self) -> tuple[str, int]:
        """The sampler as the generator knows it, and its steps."""
        return ("dpmsolver++", FAST_STEPS) if self.sampler == "fast" else (self.sampler, self.sampling_steps)


def open_generator(task: Task, config: Sampling) -> ClassConditionalGenerator:
    """Return the task's class-conditional generator, computing as the config says."""
    generator, config = task.generator(), config.at_device(task.device.type, task.image_size)
    generator.accelerate(precision=config.precision, compiled=config.compiled is True)
    return generator


def passes(num_images: int, config: Sampling) -> float:
    """Return how often an image passes the denoiser while `num_images` are drawn."""
    return num_images * config.chain[1] * (1 if config.guidance == 1 else 2)
