"""D3HR: invert a class's latents to a noise level where they look Gaussian, draw the most representative group, denoise it.

Paper: Zhao et al., Taming Diffusion for Dataset Distillation with High Representativeness, ICML 2025. Legend: N real
images, G groups, I images of a group, D values of a latent, B batch, C h w latent channels, height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from harness import (
    AFTER_FIT,
    UNHASHED,
    ClassConditionalGenerator,
    ClassInfo,
    DistilledSet,
    Method,
    State,
    Task,
    register_method,
    search,
)
from methods._by_class import by_class, posteriors
from methods._ddim import Ddim, nearest, noise_of
from methods._sampling import Sampling, open_generator

if TYPE_CHECKING:
    import torch
    from torch import Tensor

VALUES_AT_ONCE = 2**22
"""Values of the groups that are scored together; a constant, because it decides which random numbers a group gets."""


@register_method("d3hr")
class D3HR(Method):
    """DDIM inversion of all real images, a Gaussian per class, the best of many groups drawn from it, DDIM back.

    Paper: the parts of a group's score weigh 1 : 1 : 0.5. Here, as in the authors' code: 1 : 1 : 0.1.
    Paper/Code: the skewness is each image's own, over its values, not that of a value over the images. Here: the same.
    Paper/Code: the network is asked with the timestep of the upper level in both directions, the last step ends at level 1,
    and guidance also inverts, so that there and back is not the identity. Here: the same.
    Paper/Code: statistics are those of timestep 600, and sampling begins as if they were of 620. Here: the same, one step of
    the grid above; `start` changes it.
    Paper/Code: the inversion goes on to timestep 760, and 15 levels are kept. Here: to `level`, the only one used.
    Paper: m groups, 100,000 in the authors' script; its loop draws 1000 m. Here: 10,000, one round of that loop, because
    more gain little: of normal scores the best of 10,000 lies 3.9 standard deviations below the mean, of 100,000 4.4, of
    the loop's 100 million 5.7. They are drawn on the CPU, so that every device sees the same.
    Paper/Code: half precision by diffusers; images resized, cropped, and saved at 224 pixels. Here: `precision`, and the
    suite's real images and size, as every method gets.
    Paper/Code: one image per class ends in an error, because it has no standard deviation. Here: at IPC 1 the distance from
    the mean alone is the score. A class with one real image gets the noise's own variance at that level, and a class
    with fewer images than IPC is no special case: images are drawn, not chosen.
    """

    version = 1
    title = "D3HR"
    reference = "Zhao et al., Taming Diffusion for Dataset Distillation with High Representativeness, ICML 2025"
    bibtex = """@inproceedings{zhao2025d3hr,
      author = {Zhao, Lin and Wu, Yushu and Jiang, Xinru and Gu, Jianyang and Wang, Yanzhi and Xu, Xiaolin and Zhao, Pu and
                Lin, Xue},
      title = {Taming Diffusion for Dataset Distillation with High Representativeness},
      booktitle = {International Conference on Machine Learning (ICML)},
      year = {2025},
    }"""
    needs = {"class_conditional_generator"}

    class Config(Sampling):
        """Options; the defaults are those of the authors' scripts, but for `groups`."""

        sampling_steps: int = Field(
            50, ge=2, le=1000, description="steps of the whole grid, of which inversion and sampling go the lower part"
        )
        sampler: Literal["ddim"] = Field("ddim", description="the one that goes both ways")
        sampling_batch: int = Field(
            100, ge=1, description="latents that go through the denoiser together", json_schema_extra=UNHASHED
        )
        level: int = Field(
            600,
            ge=1,
            le=999,
            description="timestep of the noise level whose statistics are kept, rounded to the grid; 600 as published",
            json_schema_extra=search("integers", 400, 760),  # the authors kept 480 to 760; lower stays nearer to real
        )
        start: int | None = Field(
            None,
            ge=0,
            le=999,
            description="timestep at which sampling begins; null: a step above `level`, as published (620)",
            json_schema_extra=AFTER_FIT,
        )
        groups: int = Field(
            10_000,
            ge=1,
            description="groups of IPC drawn per class, of which the best stays",
            json_schema_extra=AFTER_FIT,
        )
        skew_weight: float = Field(
            0.1,
            ge=0,
            description="weight of the skewness in the score; 0.1 as in the code",
            json_schema_extra=AFTER_FIT,
        )
        group_size: int = Field(10, ge=1, description="classes inverted by one job")

    def group_size(self) -> int:
        """Return the classes per fit."""
        return self.config.group_size

    def fit(self, task: Task) -> State:
        """Invert the real images; returns mean and unbiased variance [2, C, h, w] of each class at the level."""
        import torch

        cfg, generator = self.config, open_generator(task, self.config)
        ddim, level = Ddim(generator.process().alphas_cumprod, cfg.sampling_steps), self._level()

        def invert(c: ClassInfo, tell: Callable[[int], None]) -> Tensor:
            predict, inverted = noise_of(generator, c, cfg.guidance), []
            for part in drawn_latents(task, generator, c).split(cfg.sampling_batch):
                inverted.append(ddim.invert(predict, part.to(task.device), level))
                tell(sum(map(len, inverted)))
            return statistics(torch.cat(inverted), ddim.noise_share(level)).cpu()

        return by_class(task, "inverting", task.real.num_per_class, invert)

    def synthesize(self, task: Task, state: Any, ipc: int) -> DistilledSet:
        """Choose the noise of each class's images together, and denoise it."""
        import torch

        cfg, generator = self.config, open_generator(task, self.config)
        ddim, start = Ddim(generator.process().alphas_cumprod, cfg.sampling_steps), self._start()

        def draw(c: ClassInfo, tell: Callable[[int], None]) -> Tensor:
            mean_Chw, variance_Chw = state[c.id].to(task.device)
            chosen_ID = best_group(
                mean_Chw.flatten(),
                variance_Chw.flatten().sqrt(),
                ipc,
                groups=cfg.groups,
                skew_weight=cfg.skew_weight,
                rng=task.rng(f"groups/{c.id}"),
            )
            predict, latents = noise_of(generator, c, cfg.guidance), []
            for part in chosen_ID.unflatten(1, mean_Chw.shape).split(cfg.sampling_batch):
                latents.append(ddim.sample(predict, part, start))
                tell(sum(map(len, latents)))
            return generator.decode(torch.cat(latents), batch_size=cfg.sampling_batch)

        images = by_class(task, "sampling", {c.id: ipc for c in task.classes}, draw)
        return DistilledSet(images, notes=generator.notes)

    def work(self, num_real: int, num_images: int) -> dict[str, tuple[str, float, float]]:
        """Return the denoiser's work."""
        halves = 1 if self.config.guidance == 1 else 2
        return {
            "fit": ("class_conditional", 0, num_real * self._level() * halves),
            "synthesize": ("class_conditional", 0, num_images * (self._start() + 1) * halves),
        }

    def _level(self) -> int:
        """Return the steps of the grid from clean latents to the level; at least one."""
        return max(1, nearest(self.config.level, self.config.sampling_steps))

    def _start(self) -> int:
        """Return the step of the grid at which sampling begins."""
        cfg = self.config
        if cfg.start is None:
            return min(self._level() + 1, cfg.sampling_steps - 1)
        return nearest(cfg.start, cfg.sampling_steps)


def drawn_latents(task: Task, generator: ClassConditionalGenerator, c: ClassInfo) -> Tensor:
    """Return a latent of each real image of a class [N, C, h, w], drawn from its posterior as in the authors' code."""
    import torch

    rng, drawn = task.rng(f"encode/{c.id}"), []
    for mean_BChw, std_BChw in posteriors(task, generator, c):
        noise_BChw = torch.randn(mean_BChw.shape, generator=rng).to(mean_BChw.device)
        drawn.append(torch.addcmul(mean_BChw, std_BChw, noise_BChw))
    return torch.cat(drawn)


def statistics(latents_NChw: Tensor, lone_variance: float) -> Tensor:
    """Return mean and unbiased variance of every value, [2, C, h, w]; a single latent gets the variance that is given."""
    import torch

    mean_Chw = latents_NChw.mean(dim=0)
    if len(latents_NChw) == 1:
        return torch.stack([mean_Chw, torch.full_like(mean_Chw, lone_variance)])
    return torch.stack([mean_Chw, latents_NChw.var(dim=0)])


def best_group(
    mean_D: Tensor, std_D: Tensor, images: int, *, groups: int, skew_weight: float, rng: torch.Generator
) -> Tensor:
    """Draw groups of `images` latents from a Gaussian and return the one of lowest score [I, D], the first at equality.

    Args:
        mean_D: of every value, on the device where groups are scored.
        std_D: its standard deviation.
        images: of a group.
        groups: how many are drawn.
        skew_weight: of the skewness in the score.
        rng: CPU generator: every device sees the same groups.
    """
    import torch

    best, lowest = None, float("inf")
    at_once = max(1, VALUES_AT_ONCE // (images * len(mean_D)))
    for first in range(0, groups, at_once):
        noise_GID = torch.randn(min(at_once, groups - first), images, len(mean_D), generator=rng)
        drawn_GID = noise_GID.to(mean_D.device) * std_D + mean_D
        score, row = group_scores(drawn_GID, mean_D, std_D, skew_weight).min(dim=0)
        if best is None or score < lowest:
            best, lowest = drawn_GID[row].clone(), float(score)
    assert best is not None
    return best


def group_scores(drawn_GID: Tensor, mean_D: Tensor, std_D: Tensor, skew_weight: float) -> Tensor:
    """Return how badly each group represents the Gaussian it was drawn from [G]; a single image: its distance from the mean."""
    score_G = (drawn_GID.mean(dim=1) - mean_D).norm(dim=1)
    if drawn_GID.shape[1] == 1:
        return score_G
    spread_G = (drawn_GID.std(dim=1) - std_D).norm(dim=1)
    return score_G + spread_G + skew_weight * skewness(drawn_GID).norm(dim=1)


def skewness(drawn_GID: Tensor) -> Tensor:
    """Return the skewness of each image over its values [G, I], each value standardised over the images of the group."""
    num = drawn_GID.shape[2]
    std_G1D = drawn_GID.std(dim=1, keepdim=True).clamp(min=1e-12)
    cubes_GI = ((drawn_GID - drawn_GID.mean(dim=1, keepdim=True)) / std_G1D).pow(3).sum(dim=2)
    return cubes_GI * (num / ((num - 1) * (num - 2)))
