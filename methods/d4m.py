"""D4M: the centres of clusters of a class's latents, redrawn by Stable Diffusion under the name of the class.

Paper: Su et al., D^4M: Dataset Distillation via Disentangled Diffusion Model, CVPR 2024. Only the images are made here;
their soft labels are the `rded` protocol's. Legend: N real images, K prototypes, C h w latent, S image side.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from harness import UNHASHED, ClassInfo, DistilledSet, Method, Task, UserError, register_method, repeat_to, search

if TYPE_CHECKING:
    from torch import Tensor

    from harness import TextToImageGenerator


@register_method("d4m")
class D4M(Method):
    """Of each class: mini-batch k-means on its latents, then image-to-image from each of the IPC centres.

    Paper/Code: the latents come in chunks of km_expand * IPC, and what does not fill the last chunk is lost, except for
    the class of the loader's last image; a class that fills no chunk has no prototypes, and the code fails. Here: the last
    chunk of every class is used if it has IPC images, as there for that one class; a class with fewer images than a chunk
    is fitted with those it has. One with at most IPC images is not clustered: its latents themselves are the prototypes,
    in turn, each time with other noise, because long-tail suites have classes of a few images.
    Paper/Code: the loader shuffles, and the order of arrival decides the centres. Here: an order by distillation seed, of
    each class for itself; k-means' own random state is 0, as theirs.
    Paper/Code: latents are samples of the VAE's posterior, in float16, of photographs squeezed to 512 x 512. Here: samples
    too, in float32, of the suite's square images, enlarged to the generator's size, because every method gets the same.
    Paper/Code: IPC must be a multiple of the prototypes, and the last images take the last class's prompt. Here: an image
    for each prototype, with the prompt of its class and noise of its own.
    Paper/Code: Stable Diffusion's PNDM, begun amid its steps: it is made to repeat the first step of a whole run, and so
    repeats the one it begins with (701 at strength 0.7), after which the network is told a level of noise below the true
    one. Here: the same with `pndm`, because the published numbers come from it; the other samplers do not do so.
    Paper/Code: strength 0.75 and chunks of 10 x IPC are the code's defaults, its scripts set 0.7 and 1. Here: the scripts'.
    Paper/Code: images are kept at 224 pixels. Here: at the suite's image size, as those of every method. Latents are encoded
    anew for each IPC, class by class, and not kept: those of ImageNet-1K at 512 pixels would be 84 GB.
    """

    version = 1
    title = "D4M"
    reference = "Su et al., D^4M: Dataset Distillation via Disentangled Diffusion Model, CVPR 2024"
    bibtex = """@inproceedings{su2024d4m,
      author = {Su, Duo and Hou, Junjie and Gao, Weizhi and Tian, Yingjie and Tang, Bowen},
      title = {{D$^4$M}: Dataset Distillation via Disentangled Diffusion Model},
      booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
      pages = {5809--5818},
      year = {2024},
    }"""
    needs = {"text_to_image_generator"}

    class Config(Method.Config):
        """Options; the defaults are those of the authors' published scripts."""

        km_expand: int = Field(
            1,
            ge=1,
            description="latents of a chunk of k-means, in IPCs; 1 as in the authors' scripts (their code's default: 10)",
        )
        strength: float = Field(
            0.7,
            gt=0,
            le=1,
            description="share of the denoising steps that are run: how far an image may leave its prototype; 0.7 as in "
            "the authors' scripts",
            json_schema_extra=search("linear", 0.3, 0.9),  # at 0.3 images stay averages, at 0.9 little of them is left
        )
        guidance: float = Field(
            8.0,
            ge=1.0,
            description="classifier-free guidance scale; 8 as the authors",
            json_schema_extra=search("log", 1.0, 12.0),  # clear images against varied ones, as for d3m
        )
        sampling_steps: int = Field(50, ge=1, le=1000, description="denoising steps at strength 1; 50 as the authors")
        sampler: Literal["pndm", "ddim", "dpmsolver++", "ddpm"] = Field(
            "pndm", description="how images are drawn; pndm as the authors: Stable Diffusion's own"
        )
        prompt: str = Field("{}", description="what is drawn; {} is the word or words of the class; {} as the authors")
        negative: str = Field("cartoon, anime, painting", description="what guidance leads away from; as the authors")
        sampling_batch: int = Field(50, ge=1, description="images denoised at once", json_schema_extra=UNHASHED)
        checkpoint_every: int = Field(
            500, ge=1, description="images between checkpoints of a long synthesis", json_schema_extra=UNHASHED
        )

        @field_validator("prompt")
        @classmethod
        def _has_a_place(cls, text: str) -> str:
            if text.count("{}") != 1:
                raise ValueError(f"prompt {text!r} needs one {{}}, the place of the class's word")
            return text

        @model_validator(mode="after")
        def _leaves_a_step(self) -> Self:
            if not int(self.sampling_steps * self.strength):
                raise ValueError(f"strength {self.strength} of {self.sampling_steps} sampling_steps leaves no step")
            return self

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Find prototypes and draw from them, as many classes at a time as fill a batch of the sampler."""
        cfg, generator = self.config, task.generator("text_to_image")
        prompts = {c.id: cfg.prompt.replace("{}", word(generator, c)) for c in task.classes}
        images: dict[str, Any] = task.checkpoint.load() or {}
        left = [c for c in task.classes if c.id not in images]
        at_once, unsaved = max(1, cfg.sampling_batch // ipc), 0
        with task.progress(len(task.classes), "class", "distilling") as advance:
            for first in range(0, len(left), at_once):
                images |= self._draw(task, generator, left[first : first + at_once], prompts, ipc)
                unsaved += at_once * ipc
                if unsaved >= cfg.checkpoint_every and len(images) < len(task.classes):
                    task.checkpoint.save(images)
                    unsaved = 0
                advance(len(images))
        return DistilledSet(images, notes=generator.notes)

    def _draw(
        self,
        task: Task,
        generator: TextToImageGenerator,
        classes: list[ClassInfo],
        prompts: dict[str, str],
        ipc: int,
    ) -> dict[str, Tensor]:
        """Return the images [ipc, 3, S, S] of some classes."""
        import torch

        cfg = self.config
        found = [self.prototypes(task, generator, c, ipc) for c in classes]
        seeds = [torch.randint(0, 2**62, (ipc,), generator=task.rng(f"draw/{c.id}")).tolist() for c in classes]
        images = generator.sample(
            [prompts[c.id] for c in classes for _ in range(ipc)],
            [seed for of_class in seeds for seed in of_class],
            steps=cfg.sampling_steps,
            guidance=cfg.guidance,
            sampler=cfg.sampler,
            negative=cfg.negative,
            batch_size=cfg.sampling_batch,
            side=task.image_size,
            start=torch.cat(found),
            strength=cfg.strength,
            report=task.report,
        )
        return dict(zip([c.id for c in classes], images.split(ipc), strict=True))

    def prototypes(self, task: Task, generator: TextToImageGenerator, c: ClassInfo, ipc: int) -> Tensor:
        """Return where the images of a class start from, [ipc, C, h, w] on the CPU."""
        import torch

        real, rng = task.real.images(c.id), task.rng(f"arrival/{c.id}")
        cache = generator.latent_cache(real, torch.zeros(len(real)), flips=False, report=task.report)
        latents_NChw = cache.draw(torch.randperm(len(real), generator=rng), rng)
        return cluster_centres(latents_NChw, ipc, self.config.km_expand * ipc)

    def work(self, num_real: int, num_images: int) -> dict[str, tuple[str, float, float]]:
        """Return the denoiser's work; encoding the real images is not foretold."""
        cfg = self.config
        calls = int(cfg.sampling_steps * cfg.strength) + (cfg.sampler == "pndm")
        return {"synthesize": ("text_to_image", 0, num_images * calls * (1 if cfg.guidance == 1 else 2))}


def cluster_centres(latents_NChw: Tensor, count: int, chunk: int, *, use_rest: bool = True) -> Tensor:
    """Return the centres [count, C, h, w] that mini-batch k-means finds in one pass, in scikit-learn's order.

    Args:
        latents_NChw: in the order of arrival.
        count: K; of up to K latents these themselves are returned, in turn.
        chunk: latents of each partial fit, K at least.
        use_rest: fit the incomplete last chunk too, if it has K latents.

    Raises:
        UserError: there are no latents, or too few for a single fit without the rest.
    """
    import torch
    from sklearn.cluster import MiniBatchKMeans

    total = len(latents_NChw)
    if not total:
        raise UserError("d4m: a class has no real images to find prototypes in; remove it from the suite's classes")
    if total <= count:
        return latents_NChw[repeat_to(list(range(total)), count)]
    ends = list(range(chunk, total + 1, chunk))
    if use_rest and total % chunk >= count:
        ends.append(total)
    if not ends:
        raise UserError(f"{total} latents fill no chunk of {chunk}; use the rest of a class too")
    model = MiniBatchKMeans(n_clusters=count, random_state=0, batch_size=chunk, n_init="auto")
    for first, end in zip([0, *ends], ends, strict=False):
        model.partial_fit(latents_NChw[first:end].flatten(1).numpy())
    return torch.from_numpy(model.cluster_centers_).to(latents_NChw.dtype).view(count, *latents_NChw.shape[1:])


def word(generator: TextToImageGenerator, c: ClassInfo) -> str:
    """Return what a prompt calls a class.

    Raises:
        UserError: the suite has nothing but a WordNet id for it.
    """
    found = generator.word_of(c)
    if re.fullmatch(r"n\d{8}", found):
        raise UserError(
            f"d4m draws each class by its name, but the suite knows class {c.id!r} by {found!r} only. Give "
            "generators.text_to_image.class_words in the suite, one for each class"
        )
    return found
