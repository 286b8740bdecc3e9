"""MGD3: lead each image of a class-conditional generator to a mode of the real images' latents, with no training.

Paper: Chan-Santiago et al., MGD3: Mode-Guided Dataset Distillation using Diffusion Models, ICML 2025. Legend: N real
images, K modes, B batch, C h w latent channels, height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from harness import (
    AFTER_FIT,
    ClassInfo,
    DenoisingStep,
    DistilledSet,
    Method,
    State,
    Task,
    register_method,
    repeat_to,
    search,
)
from methods._by_class import by_class, posteriors
from methods._sampling import Sampling, open_generator, passes

if TYPE_CHECKING:
    from torch import Tensor

PUBLISHED_STEPS = 50
"""Denoising steps that `stop_t` counts in."""


@register_method("mgd3")
class MGD3(Method):
    """K-means of a class's latents gives as many modes as images; the sampler's mean is pulled to mode i in image i.

    Paper: Eq. 6 adds the pull to the predicted noise. Here, as in the authors' code: it moves the mean of the next
    latents, by the step's standard deviation times the distance of the predicted clean latents from the mode.
    Paper/Code: one image at a time. Here: many at once, each with its own mode; the same numbers.
    Paper/Code: real images are flipped at random, unseeded, when they are encoded. Here: never, because modes would
    change from run to run, and a mirrored digit is another sign.
    Paper/Code: latents of the VAE `mse`. Here: of the suite's encoder, as every method that encodes.
    Paper/Code: KMeans starts from random_state 0. Here: the same, in one thread, because in several its sums come in
    any order. So the modes of a class are those of every distillation seed; the noise is the seed's.
    Paper: ImageWoof's row samples a DiT that was fine-tuned with the plain denoising loss. Here: the suite's DiT as it is,
    as in the paper's other rows; give such weights to the suite (`weights: FOLDER`) to compare with that row.
    Paper/Code: every class has more images than IPC. Here: one that has fewer gives each of its images as a mode, and
    then these again; the noise still differs.
    Not nested: 50 modes do not begin with the 10 of a smaller set.
    The latents lie in the store, 16 kB an image of 256 pixels: 0.2 GB for ten classes of ImageNet, 21 GB for all.
    """

    version = 1
    title = "MGD3"
    reference = "Chan-Santiago et al., MGD3: Mode-Guided Dataset Distillation using Diffusion Models, ICML 2025"
    bibtex = """@inproceedings{chansantiago2025mgd3,
      author = {Chan-Santiago, Jeffrey A. and Tirupattur, Praveen and Nayak, Gaurav Kumar and Liu, Gaowen and Shah, Mubarak},
      title = {{MGD$^3$}: Mode-Guided Dataset Distillation using Diffusion Models},
      booktitle = {International Conference on Machine Learning (ICML)},
      year = {2025},
    }"""
    needs = {"class_conditional_generator"}

    class Config(Sampling):
        """Options; the defaults are those of the authors' scripts."""

        guidance: float = Field(
            4.0,
            ge=1.0,
            description="classifier-free guidance scale; 4.0 as published",
            json_schema_extra=AFTER_FIT | search("log", 1.0, 8.0),  # as dit
        )
        sampler: Literal["ddpm"] = Field("ddpm", description="the one whose steps have a mean to guide")
        mode_guidance: float = Field(
            0.1,
            ge=0,
            description="how strongly the mean is pulled to the mode in each step; 0.1 as published, 0: none",
            # Up to five times the published value: the first steps overshoot far above it.
            json_schema_extra=AFTER_FIT | search("log", 0.02, 0.5),
        )
        stop_t: float = Field(
            25,
            ge=0,
            le=PUBLISHED_STEPS - 1,
            description="steps 49 down to above this one of 50 are guided: 25 as in the authors' scripts (24 steps); with "
            "other sampling_steps those at the same noise levels are",
            # From almost all steps to the first few: when to stop is the paper's own ablation.
            json_schema_extra=AFTER_FIT | search("integers", 5, 45),
        )
        group_size: int = Field(10, ge=1, description="classes encoded by one job")

    def group_size(self) -> int:
        """Return the classes per fit."""
        return self.config.group_size

    def fit(self, task: Task) -> State:
        """Encode the real images; returns the latents [N, C, h, w] of each class. K-means needs the IPC: see synthesize."""
        import torch

        generator = task.generator()

        def encode(c: ClassInfo, tell: Callable[[int], None]) -> Tensor:
            parts: list[Tensor] = []
            for mean_BChw, _ in posteriors(task, generator, c):
                parts.append(mean_BChw.cpu())
                tell(sum(map(len, parts)))
            return torch.cat(parts)

        return by_class(task, "encoding", task.real.num_per_class, encode)

    def synthesize(self, task: Task, state: Any, ipc: int) -> DistilledSet:
        """Find the modes of each class and draw an image led to each."""
        cfg, generator = self.config, open_generator(task, self.config)

        def draw(c: ClassInfo, tell: Callable[[int], None]) -> Tensor:
            return generator.sample(
                c,
                ipc,
                steps=cfg.sampling_steps,
                guidance=cfg.guidance,
                rng=task.rng(f"draw/{c.id}"),
                batch_size=cfg.sampling_batch,
                guide=Pull(
                    modes(state[c.id], ipc).to(task.device),
                    cfg.mode_guidance,
                    last_guided(cfg.stop_t, cfg.sampling_steps),
                ),
                report=lambda stage, done, total, unit: tell(done),
            )

        images = by_class(task, "sampling", {c.id: ipc for c in task.classes}, draw)
        return DistilledSet(images, notes=generator.notes)

    def work(self, num_real: int, num_images: int) -> dict[str, tuple[str, float, float]]:
        """Return the denoiser's work; an image in the encoder counts as one pass: 136 GMAC, DiT-XL/2 119."""
        return {
            "fit": ("class_conditional", 0, num_real),
            "synthesize": ("class_conditional", 0, passes(num_images, self.config)),
        }


class Pull:
    """A guide that pulls the mean of a step to the image's own mode: golden/methods/mgd3.json.

    Args:
        modes_KChw: the mode of each image of the class, in units of the denoiser, where the sampler runs.
        scale: of the pull.
        stop: kept steps above this index are guided.
    """

    def __init__(self, modes_KChw: Tensor, scale: float, stop: float) -> None:
        self.modes_KChw = modes_KChw
        self.scale = scale
        self.stop = stop

    def __call__(self, step: DenoisingStep) -> Tensor:
        """Return the mean [B, C, h, w] to go on with."""
        if step.index <= self.stop:
            return step.mean_BChw
        away_BChw = step.x0_BChw - self.modes_KChw[step.images_B]
        return step.mean_BChw - away_BChw * self.scale * (0.5 * step.log_variance_BChw).exp()


def last_guided(stop_t: float, steps: int) -> float:
    """Return the index of `steps` steps that lies at the noise level of index `stop_t` of the authors' 50."""
    return stop_t * (steps - 1) / (PUBLISHED_STEPS - 1)


def modes(latents_NChw: Tensor, num: int) -> Tensor:
    """Return `num` centroids [num, C, h, w] in the order of KMeans; where there are too few images, the first come again."""
    import torch
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    flat_ND = latents_NChw.flatten(1)
    distinct = min(num, len(flat_ND.unique(dim=0)))
    with threadpool_limits(limits=1):
        found = KMeans(n_clusters=distinct, random_state=0, n_init="auto").fit(flat_ND.numpy())
    centres_KD = torch.from_numpy(found.cluster_centers_)
    return centres_KD[repeat_to(list(range(distinct)), num)].unflatten(1, latents_NChw.shape[1:])
