"""DiT: sample the pre-trained generator as it is. A generative method that does not beat this improves nothing."""

from __future__ import annotations

from harness import ClassConditionalGenerator, DistilledSet, Method, Task, register_method
from methods._sampling import Sampling, open_generator, passes


def draw(task: Task, ipc: int, config: Sampling, generator: ClassConditionalGenerator | None = None) -> DistilledSet:
    """Draw `ipc` images per class, each class from its own random stream, so that a smaller set is the head of a larger."""
    pipe, (sampler, steps) = generator or open_generator(task, config), config.chain
    images = {}
    with task.per_image(), task.progress(len(task.classes), "class", "sampling") as advance:
        for number, c in enumerate(task.classes):
            images[c.id] = pipe.sample(
                c,
                ipc,
                steps=steps,
                guidance=config.guidance,
                sampler=sampler,
                rng=task.rng(f"draw/{c.id}"),
                batch_size=config.sampling_batch,
            )
            advance(number + 1)
    return DistilledSet(images, notes=pipe.notes)


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
