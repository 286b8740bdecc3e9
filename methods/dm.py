"""DM: learn pixels whose mean embedding in freshly drawn random networks is that of the real images of the class.

Paper: Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023. Nothing is trained but the pixels.
Legend: B batch, C channels, 3 or 1, D embedding, S side of an image, pixels.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

import harness
from harness import UNHASHED, DistilledSet, Method, Operation, Task, register_method, search
from methods._pixels import (
    Mover,
    PixelScale,
    Start,
    classes_in_memory,
    convnet_for,
    draw_batch,
    finished,
    pixels_at_once,
    random_network,
    real_images,
    starting_images,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor, nn


@register_method("dm")
class DM(Method):
    """Stochastic gradient descent on the pixels; each step has a network of its own, drawn at random.

    Paper: one augmentation per class and step, shared by all images of the class, real and synthetic. Here: the same.
    Paper/Code: the pixels are free, and students train on them as they are. Here: they are clipped to [0, 1] and rounded
    to 8 bits at the end, because a distilled set is made of images; the share that was clipped stands in the notes.
    Paper/Code: a class with fewer images than IPC fails. Here: its images start several synthetic ones, all but the first
    with noise added, because equal images get equal gradients and would stay equal.
    Paper/Code: normalised by constants of the data set. Here: by mean and standard deviation of the task's own images,
    because a method knows no suite.
    """

    version = 1
    title = "DM"
    reference = "Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023"
    bibtex = """@inproceedings{zhao2023dm,
      author = {Zhao, Bo and Bilen, Hakan},
      title = {Dataset Condensation with Distribution Matching},
      booktitle = {IEEE/CVF Winter Conference on Applications of Computer Vision (WACV)},
      pages = {6514--6523},
      year = {2023},
    }"""

    class Config(Method.Config):
        """Options; the defaults are those of the authors' code."""

        steps: int = Field(
            20_000, ge=1, description="updates of the pixels, each with a new network; 20,000 as published"
        )
        batch: int = Field(256, ge=1, description="real images per class and step")
        lr: float | None = Field(
            None,
            gt=0,
            description="learning rate of normalised pixels; null: 1 up to IPC 50, 10 above (authors, CIFAR-10; 1 for CIFAR-100)",
            json_schema_extra=search("log", 0.1, 10.0),  # spans both published values
        )
        momentum: float = Field(
            0.5,
            ge=0,
            lt=1,
            description="SGD momentum of the pixels",
            json_schema_extra=search("linear", 0.0, 0.95),  # none up to what networks are trained with
        )
        start: Start = Field(
            "real",
            description="real: random real images of the class; or noise",
            json_schema_extra=search("choice", "real", "noise"),  # the paper compares both
        )
        augmentations: tuple[Operation, ...] = Field(
            ("color", "crop", "cutout", "flip", "scale", "rotate"),
            description="operations of which a class draws one in each step; none: []",
        )
        network: str | None = Field(
            None,
            description="student name; null: the ConvNet whose last map is nearest 4x4: convnet3 for 32 pixels, 6 for 224",
        )
        precision: Literal["float32", "bfloat16"] = Field(
            "float32",
            description="of the networks; bfloat16 is faster where the hardware has it, with slightly other images",
        )
        images_per_class: int | None = Field(
            None,
            ge=1,
            description="real images of a class that are used, drawn at random; null: all. They stay in memory",
        )
        classes_at_once: int | None = Field(
            None, ge=1, description="classes in one pass; null: as memory allows", json_schema_extra=UNHASHED
        )
        checkpoint_every: int = Field(1000, ge=1, description="steps between checkpoints", json_schema_extra=UNHASHED)

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Move the pixels step by step; a killed run goes on from its last checkpoint."""
        cfg, network = self.config, self.config.network or convnet_for(task.image_size, task.channels)
        embed = partial(embedding_network, network, task.image_size, channels=task.channels)
        embed(task.rng("check"))  # what cannot work is told before images are read
        real = [real_images(task, c.id, cfg.images_per_class) for c in task.classes]
        scale = PixelScale(real)
        pixels = [
            starting_images(task, c.id, images, scale, ipc, cfg.start)
            for c, images in zip(task.classes, real, strict=True)
        ]
        mover = Mover(pixels, cfg.lr or (1.0 if ipc <= 50 else 10.0), cfg.momentum)
        start = mover.restore(task.checkpoint.load())
        at_once = cfg.classes_at_once or classes_in_memory(max(ipc, cfg.batch), task.image_size, task.device)
        with task.progress(cfg.steps, "step", "matching") as advance:
            for step in range(start, cfg.steps):
                rng = task.rng(f"step/{step}")
                net = embed(rng).to(task.device)
                for first in range(0, len(real), at_once):
                    here = slice(first, first + at_once)
                    pairs = [self._pair(r, p, scale, rng) for r, p in zip(real[here], pixels[here], strict=True)]
                    matching_distance(net, *zip(*pairs, strict=True), precision=cfg.precision).backward()
                mover.step()
                if (step + 1) % cfg.checkpoint_every == 0:
                    task.checkpoint.save(mover.checkpoint(step + 1))
                advance(step + 1)
        return finished([c.id for c in task.classes], pixels, scale)

    def passes(self, num_real: int, num_classes: int, ipc: int, side: int) -> list[tuple[str, float, float]]:
        """Return the networks' work: real images pass, synthetic ones pass and back to the pixels; the weights stay."""
        cfg, real = self.config, min(self.config.batch, num_real / num_classes)
        return [(cfg.network or convnet_for(side), 0, cfg.steps * num_classes * (real + 2 * ipc))]

    def _pair(self, real: Tensor, pixels: Tensor, scale: PixelScale, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return a batch of real images and all synthetic ones of a class, augmented alike."""
        augment = harness.draw_augmentation(self.config.augmentations, rng)
        return augment(scale.normalised(draw_batch(real, self.config.batch, rng))), augment(pixels)


def embedding_network(name: str, side: int, rng: torch.Generator, *, channels: int = 3) -> nn.Module:
    """Return a network that embeds images; nothing of it is trained."""
    return random_network(name, 1, side, rng, option="dm.network", channels=channels).requires_grad_(False)


def matching_distance(
    net: nn.Module, real: Sequence[Tensor], synthetic: Sequence[Tensor], *, precision: str = "float32"
) -> Tensor:
    """Return the squared distance of the mean embeddings of real and synthetic images, summed over the classes.

    Args:
        net: has `features` of each image on its own.
        real: per class, normalised images [B, C, S, S]; any number of them. No gradient flows to them.
        synthetic: the same; differentiable.
        precision: of the network; means and distances are float32.
    """
    import torch

    narrow = torch.autocast(real[0].device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
    with torch.no_grad(), narrow:
        images = torch.cat(list(real))
        at_once = max(1, pixels_at_once(images.device) // images.shape[-1] ** 2)
        embedded = torch.cat([net.features(part) for part in images.split(at_once)])  # type: ignore[operator]
    with narrow:
        made = net.features(torch.cat(list(synthetic)))  # type: ignore[operator]
    return (_means(made, synthetic) - _means(embedded, real)).square().sum()


def _means(embedded_BD: Tensor, classes: Sequence[Tensor]) -> Tensor:
    """Return the mean of the rows of each class, which stand one after the other."""
    import torch

    return torch.stack([rows.float().mean(dim=0) for rows in embedded_BD.split([len(images) for images in classes])])
