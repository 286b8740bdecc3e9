"""DC and DSA: learn pixels that give a network, while it trains, the gradients that the real images of the class give it.

Papers: Zhao, Mopuri and Bilen, Dataset Condensation with Gradient Matching, ICLR 2021 (dc); Zhao and Bilen, Dataset
Condensation with Differentiable Siamese Augmentation, ICML 2021 (dsa).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

import harness
from harness import UNHASHED, DistilledSet, Method, Operation, Task, register_method, search
from methods._gradients import Distance, matching_distance
from methods._pixels import (
    Mover,
    PixelScale,
    Start,
    classes_in_memory,
    convnet_for,
    draw_batch,
    finished,
    random_network,
    real_images,
    starting_images,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor, nn


@register_method("dc")
class DC(Method):
    """In each iteration a fresh network; it trains on the synthetic images, and after each update of these goes on.

    Paper: 1,000 iterations. Code: one more. Here: 1,000.
    Paper/Code: updates per network (outer) and epochs between them (inner) for IPC 1, 10, 20, 30, 40 and 50; the code
    refuses others. Here: the table for these; for others outer is IPC, at most 50, and outer x inner is about 500, which
    the table follows within a fifth.
    Paper/Code: gradients of one class after the other. Here: those of as many classes in one pass as memory allows; on a
    CPU one, because more are slower (methods/_gradients.py). Results differ by rounding only.
    Paper/Code: real batches of 256 at 32 pixels. Here: real images pass in pieces that fit into memory; the synthetic
    ones of a class pass together, because their distance is of the whole gradient.
    Paper: layer by layer, the cosine distances of the weights of each output. Code: biases and the weights of norms are
    left out, and 1e-6 is added to the product of the norms. Here: as in the code.
    Paper/Code: a class with fewer real images than the batch gives all of them; one with fewer than IPC fails where it
    starts from real images. Here: its images start several synthetic ones, all but the first with noise added.
    Paper/Code: the pixels are free, and students train on them as they are. Here: they are clipped to [0, 1] and rounded
    to 8 bits at the end, because a distilled set is made of images; the share that was clipped stands in the notes.
    Paper/Code: normalised by constants of the data set. Here: by mean and standard deviation of the task's own images,
    because a method knows no suite. Grey images have one channel, as in the code, where the suite says `channels: 1`.
    Code: with batch norm its statistics are set on real images first. Here: networks with batch norm are refused.
    """

    version = 1
    title = "DC"
    reference = "Zhao, Mopuri and Bilen, Dataset Condensation with Gradient Matching, ICLR 2021"
    bibtex = """@inproceedings{zhao2021dc,
      author = {Zhao, Bo and Mopuri, Konda Reddy and Bilen, Hakan},
      title = {Dataset Condensation with Gradient Matching},
      booktitle = {International Conference on Learning Representations (ICLR)},
      year = {2021},
    }"""

    class Config(Method.Config):
        """Options; the defaults are those of the authors' code."""

        iterations: int = Field(1000, ge=1, description="networks drawn, one after the other; 1,000 as published")
        outer: int | None = Field(
            None,
            ge=1,
            description="updates of the pixels per network; null: 1, 10, 20, ... 50 at IPC 1, 10, 20, ... 50",
        )
        inner: int | None = Field(
            None,
            ge=0,
            description="epochs that the network trains between two updates; null: 50, 25, 20, 15, 10 at IPC 10, 20, ... 50",
        )
        batch: int = Field(256, ge=1, description="real images per class and update")
        lr: float = Field(
            0.1,
            gt=0,
            description="learning rate of normalised pixels",
            json_schema_extra=search("log", 0.01, 10.0),  # a decade below; short runs need up to two above
        )
        momentum: float = Field(0.5, ge=0, lt=1, description="SGD momentum of the pixels")
        distance: Distance = Field(
            "ours",
            description="between gradients: ours, cosine per output; mse, squared error; cos, cosine of all in one",
        )
        network_lr: float = Field(
            0.01,
            gt=0,
            description="SGD learning rate of the network, without momentum",
            json_schema_extra=search("log", 1e-3, 1e-1),  # a decade to each side of the published value
        )
        network_batch: int = Field(256, ge=1, description="synthetic images per step of the network")
        start: Start = Field(
            "noise",
            description="noise; or real: random real images of the class",
            json_schema_extra=search("choice", "noise", "real"),  # the paper compares both
        )
        augmentations: tuple[Operation, ...] = Field(
            (), description="operations of which a class draws one in each update; none: []"
        )
        network: str | None = Field(
            None,
            description="student name; null: the ConvNet whose last map is nearest 4x4: convnet3 for 32 pixels, 6 for 224",
        )
        images_per_class: int | None = Field(
            None,
            ge=1,
            description="real images of a class that are used, drawn at random; null: all. They stay in memory",
        )
        classes_at_once: int | None = Field(
            None,
            ge=1,
            description="classes in one pass; null: as memory allows, on a CPU one",
            json_schema_extra=UNHASHED,
        )
        checkpoint_every: int = Field(5, ge=1, description="iterations between checkpoints", json_schema_extra=UNHASHED)

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Move the pixels, network after network; a killed run goes on from its last checkpoint."""
        cfg = self.config
        self._network(task, task.rng("check"))  # what cannot work is told before images are read
        real = [real_images(task, c.id, cfg.images_per_class) for c in task.classes]
        scale = PixelScale(real)
        pixels = [
            starting_images(task, c.id, images, scale, ipc, cfg.start)
            for c, images in zip(task.classes, real, strict=True)
        ]
        mover = Mover(pixels, cfg.lr, cfg.momentum)
        outer, inner = self._loops(ipc)
        with task.progress(cfg.iterations * outer, "update", "matching") as advance:
            for iteration in range(mover.restore(task.checkpoint.load()), cfg.iterations):
                rng = task.rng(f"iteration/{iteration}")
                net = self._network(task, rng).to(task.device)
                for update in range(outer):
                    if update:
                        self._train(net, pixels, inner, rng)
                    self._match(net, real, pixels, scale, rng)
                    mover.step()
                    advance(iteration * outer + update + 1)
                if (iteration + 1) % cfg.checkpoint_every == 0:
                    task.checkpoint.save(mover.checkpoint(iteration + 1))
        return finished([c.id for c in task.classes], pixels, scale)

    def passes(self, num_real: int, num_classes: int, ipc: int, side: int) -> list[tuple[str, float, float]]:
        """Return the networks' work; the gradient of a gradient costs two passes forward and backward more."""
        cfg, (outer, inner) = self.config, self._loops(ipc)
        matched = outer * num_classes * (min(cfg.batch, num_real / num_classes) + 3 * ipc)
        trained = (outer - 1) * inner * ipc * num_classes
        return [(cfg.network or convnet_for(side), cfg.iterations * (matched + trained), 0)]

    def _network(self, task: Task, rng: torch.Generator) -> nn.Module:
        side, channels, option = task.image_size, task.channels, f"{self.name}.network"
        name = self.config.network or convnet_for(side, channels)
        return random_network(name, len(task.classes), side, rng, option=option, channels=channels)

    def _loops(self, ipc: int) -> tuple[int, int]:
        outer, inner = loops(ipc)
        return self.config.outer or outer, inner if self.config.inner is None else self.config.inner

    def _match(
        self, net: nn.Module, real: list[Tensor], pixels: list[Tensor], scale: PixelScale, rng: torch.Generator
    ) -> None:
        """Add the gradient of the distance, summed over the classes, to that of the pixels."""
        cfg, side, device = self.config, pixels[0].shape[-1], pixels[0].device
        most = max(len(pixels[0]), cfg.batch)
        at_once = cfg.classes_at_once or (1 if device.type == "cpu" else classes_in_memory(most, side, device))
        for first in range(0, len(real), at_once):
            batches, made = [], []
            for images, own in zip(real[first : first + at_once], pixels[first : first + at_once], strict=True):
                augment = harness.draw_augmentation(cfg.augmentations, rng)
                batches.append(augment(scale.normalised(draw_batch(images, cfg.batch, rng))))
                made.append(augment(own))
            here = pixels[first : first + at_once]
            matching_distance(net, batches, made, first, cfg.distance).backward(inputs=here)

    def _train(self, net: nn.Module, pixels: list[Tensor], epochs: int, rng: torch.Generator) -> None:
        """Train the network on the synthetic images as they are now."""
        import torch

        images = torch.cat(pixels).detach()
        labels = torch.arange(len(pixels), device=images.device).repeat_interleave(len(pixels[0]))
        cfg = self.config
        train(net, images, labels, epochs, cfg.network_lr, cfg.network_batch, cfg.augmentations, rng)


@register_method("dsa")
class DSA(DC):
    """DC whose real and synthetic batch of a class are augmented alike, by one operation per class and update.

    Paper/Code: starts from real images; the network trains on augmented images, one operation for a batch, each image
    its own parameters. Here: the same.
    Code: reseeds torch's global generator from the clock. Here: streams of its own, because repeats must repeat.
    Code: at IPC 1 most operations fail in current torch. Here: they work, and IPC 1 is the authors' loop.
    Paper: no flip for digits. Here: the suite says so.
    """

    version = 1
    title = "DSA"
    reference = "Zhao and Bilen, Dataset Condensation with Differentiable Siamese Augmentation, ICML 2021"
    bibtex = """@inproceedings{zhao2021dsa,
      author = {Zhao, Bo and Bilen, Hakan},
      title = {Dataset Condensation with Differentiable Siamese Augmentation},
      booktitle = {International Conference on Machine Learning (ICML)},
      pages = {12674--12685},
      year = {2021},
    }"""

    class Config(DC.Config):
        """Options; the defaults are those of the authors' code."""

        start: Start = Field(
            "real",
            description="real: random real images of the class; or noise",
            json_schema_extra=search("choice", "real", "noise"),  # as dc
        )
        augmentations: tuple[Operation, ...] = Field(
            ("color", "crop", "cutout", "flip", "scale", "rotate"),
            description="operations of which a class draws one in each update; none: []",
        )


_LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}


def loops(ipc: int) -> tuple[int, int]:
    """Return the updates of the pixels per network and the epochs between two of them; the authors' table, and its rule."""
    outer = min(ipc, 50)
    return _LOOPS.get(ipc, (outer, round(500 / outer)))


def train(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    epochs: int,
    lr: float,
    batch: int,
    operations: Sequence[Operation],
    rng: torch.Generator,
) -> None:
    """Train a network in place: stochastic gradient descent without momentum, augmented, a new order in each epoch."""
    import torch
    from torch.nn import functional

    sgd = torch.optim.SGD(net.parameters(), lr=lr)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=rng).split(batch):
            augment, rows = harness.draw_for_each(operations, len(rows), rng), rows.to(images.device)
            loss = functional.cross_entropy(net(augment(images[rows])), labels[rows])
            sgd.zero_grad(set_to_none=True)
            loss.backward()
            sgd.step()
