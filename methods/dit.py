"""DiT: sample the pre-trained generator as it is. A generative method that does not beat this improves nothing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness import UNHASHED, ClassConditionalGenerator, DistilledSet, Method, Task, register_method, search


class Sampling(Method.Config):
    """How images are drawn from a class-conditional generator."""

    sampling_steps: int = Field(50, ge=2, le=1000, description="denoising steps; 50 as in Minimax Diffusion, CVPR 2024")
    guidance: float = Field(
        4.0,
        ge=1.0,
        description="classifier-free guidance scale; 4.0 as in DiT's samples",
        json_schema_extra=search("log", 1.0, 8.0),  # clear images against varied ones: the one choice of plain sampling
    )
    sampler: Literal["ddpm", "ddim", "dpmsolver++"] = Field("ddpm", description="ddpm: ancestral, as in the paper")
    sampling_batch: int = Field(
        100,
        ge=1,
        description="images denoised at once, at most; fewer where memory asks for it",
        json_schema_extra=UNHASHED,
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of the denoiser's matrix products; bfloat16 is faster on a GPU, with slightly other images",
    )
    compiled: bool = Field(False, description="torch.compile the denoiser: pays for long runs on a GPU; other rounding")


def open_generator(task: Task, config: Sampling) -> ClassConditionalGenerator:
    """Return the task's class-conditional generator, computing as the config says."""
    generator = task.generator()
    generator.accelerate(precision=config.precision, compiled=config.compiled)
    return generator


def draw(task: Task, ipc: int, config: Sampling, generator: ClassConditionalGenerator | None = None) -> DistilledSet:
    """Draw `ipc` images per class, each class from its own random stream, so that a smaller set is the head of a larger."""
    pipe = generator or open_generator(task, config)
    images = {}
    with task.per_image(), task.progress(len(task.classes), "class", "sampling") as advance:
        for number, c in enumerate(task.classes):
            images[c.id] = pipe.sample(
                c,
                ipc,
                steps=config.sampling_steps,
                guidance=config.guidance,
                sampler=config.sampler,
                rng=task.rng(f"draw/{c.id}"),
                batch_size=config.sampling_batch,
            )
            advance(number + 1)
    return DistilledSet(images, notes=pipe.notes)


def passes(num_images: int, config: Sampling) -> float:
    """Return how often an image passes the denoiser while `num_images` are drawn."""
    return num_images * config.sampling_steps * (1 if config.guidance == 1 else 2)


@register_method("dit")
class DiT(Method):
    """The suite's class-conditional generator without fine-tuning."""

    version = 1
    title = "DiT"
    reference = "Peebles and Xie, Scalable Diffusion Models with Transformers, ICCV 2023"
    bibtex = """@inproceedings{peebles2023dit,
      author = {Peebles, William and Xie, Saining},
      title = {Scalable Diffusion Models with Transformers},
      booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
      pages = {4195--4205},
      year = {2023},
    }"""
    needs = {"class_conditional_generator"}
    nested = True

    class Config(Sampling):
        """Options."""

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Draw the images."""
        return draw(task, ipc, self.config)

    def work(self, num_real: int, num_images: int) -> dict[str, tuple[str, float, float]]:
        """Return the denoiser's work."""
        return {"synthesize": ("class_conditional", 0, passes(num_images, self.config))}
