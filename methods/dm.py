"""DM: learn pixels whose mean embedding in freshly drawn random networks is that of the real images of the class.

Paper: Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023. Nothing is trained but the pixels.
Legend: B batch, D embedding, S side of an image, pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness import UNHASHED, DistilledSet, Method, State, Task, UserError, register_method, repeat_to, search
from methods._siamese import Operation, draw_augmentation

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
        start: Literal["real", "noise"] = Field(
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
        cfg, network = self.config, self.config.network or convnet_for(task.image_size)
        random_network(network, task.image_size, task.rng("check"))  # what cannot work is told before images are read
        real = [self._real(task, c.id) for c in task.classes]
        scale = PixelScale(real)
        pixels = [self._start(task, c.id, images, scale, ipc) for c, images in zip(task.classes, real, strict=True)]
        mover = Mover(pixels, cfg.lr or (1.0 if ipc <= 50 else 10.0), cfg.momentum)
        start = mover.restore(task.checkpoint.load())
        at_once = cfg.classes_at_once or classes_in_memory(max(ipc, cfg.batch), task.image_size, task.device)
        with task.progress(cfg.steps, "step", "matching") as advance:
            for step in range(start, cfg.steps):
                rng = task.rng(f"step/{step}")
                net = random_network(network, task.image_size, rng).to(task.device)
                for first in range(0, len(real), at_once):
                    here = slice(first, first + at_once)
                    pairs = [self._pair(r, p, scale, rng) for r, p in zip(real[here], pixels[here], strict=True)]
                    matching_distance(net, *zip(*pairs, strict=True)).backward()
                mover.step()
                if (step + 1) % cfg.checkpoint_every == 0:
                    task.checkpoint.save(mover.checkpoint(step + 1))
                advance(step + 1)
        return finished([c.id for c in task.classes], pixels, scale)

    def _real(self, task: Task, class_id: str) -> Tensor:
        """Return the real images of a class that are used, uint8, in random order."""
        import torch

        order = torch.randperm(task.real.num_per_class[class_id], generator=task.rng(f"real/{class_id}"))
        return task.real.images(class_id, order[: self.config.images_per_class].tolist())

    def _start(self, task: Task, class_id: str, real: Tensor, scale: PixelScale, ipc: int) -> Tensor:
        """Return the synthetic images of a class before the first step, [ipc, 3, S, S], normalised."""
        import torch

        noise = torch.randn(ipc, *real.shape[1:], generator=task.rng(f"start/{class_id}")).to(real.device)
        if self.config.start == "noise":
            return noise.requires_grad_()
        noise[: len(real)] = 0
        images = scale.normalised(real[repeat_to(list(range(len(real))), ipc)])
        return (images + REPEAT_NOISE * noise).requires_grad_()

    def _pair(self, real: Tensor, pixels: Tensor, scale: PixelScale, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return a batch of real images and all synthetic ones of a class, augmented alike."""
        import torch

        augment = draw_augmentation(self.config.augmentations, rng)
        rows = torch.randperm(len(real), generator=rng)[: self.config.batch]
        return augment(scale.normalised(real[rows.to(real.device)])), augment(pixels)


REPEAT_NOISE = 0.1
"""Standard deviation, in that of the pixels, of the noise that tells repeated starting images apart."""

_PIXELS_AT_ONCE = {"cpu": 224 * 224, "cuda": 256 * 224 * 224}
"""Pixels of one pass. A ConvNet's first block keeps some 2.5 kB per pixel where gradients are wanted: 0.1 and 32 GB. On
a CPU larger passes are no faster: the digits suite took 0.65 CPU seconds a step with 1, 4 and 16 times as many."""


def pixels_at_once(device: torch.device) -> int:
    """Return how many pixels go through a network at once."""
    return _PIXELS_AT_ONCE.get(device.type, _PIXELS_AT_ONCE["cpu"])


def classes_in_memory(num_images: int, side: int, device: torch.device) -> int:
    """Return how many classes of `num_images` images each go through a network at once; at least one."""
    return max(1, pixels_at_once(device) // (num_images * side**2))


class PixelScale:
    """Normalisation by mean and standard deviation per channel of uint8 images [B, 3, S, S], all of them together.

    Both come from counts of the 256 levels, which are exact, so they are equal on every device.
    """

    def __init__(self, images: list[Tensor]) -> None:
        import torch

        levels = torch.arange(256, dtype=torch.float64) / 255
        moments = []
        for channel in range(3):
            count = torch.stack([part[:, channel].flatten().bincount(minlength=256).cpu() for part in images]).sum(
                dim=0
            )
            share = count / count.sum(dtype=torch.float64)
            mean = share @ levels
            moments.append((mean, (share @ (levels - mean) ** 2).sqrt().clamp(min=1 / 255)))
        means, stds = zip(*moments, strict=True)
        self.mean, self.std = (torch.stack(m).float().view(3, 1, 1).to(images[0].device) for m in (means, stds))

    def normalised(self, images: Tensor) -> Tensor:
        """Return uint8 images as normalised float32."""
        return (images.float() / 255 - self.mean) / self.std

    def shares(self, images: Tensor) -> Tensor:
        """Return normalised images as shares of white, in [0, 1] but for what lies outside."""
        return images * self.std + self.mean


class Mover:
    """SGD with momentum on the pixels of all classes, and its checkpoint."""

    def __init__(self, pixels: list[Tensor], lr: float, momentum: float) -> None:
        import torch

        self.pixels = pixels
        self.sgd = torch.optim.SGD(pixels, lr=lr, momentum=momentum)

    def step(self) -> None:
        """Move the pixels against their gradients, and forget these."""
        self.sgd.step()
        self.sgd.zero_grad(set_to_none=True)

    def checkpoint(self, step: int) -> State:
        """Return what `restore` needs, after `step` steps."""
        import torch

        moving = [self.sgd.state[p].get("momentum_buffer") for p in self.pixels]
        moving = [torch.zeros_like(p) if m is None else m for p, m in zip(self.pixels, moving, strict=True)]
        return {"step": step, "pixels": torch.stack(self.pixels).detach(), "moving": torch.stack(moving)}

    def restore(self, saved: State | None) -> int:
        """Put a checkpoint back where there is one; return the step to go on from."""
        import torch

        if saved is None:
            return 0
        with torch.no_grad():
            for own, pixels, moving in zip(self.pixels, saved["pixels"], saved["moving"], strict=True):
                own.copy_(pixels)
                self.sgd.state[own]["momentum_buffer"] = moving.to(own.device, copy=True)
        return int(saved["step"])


def convnet_for(side: int) -> str:
    """Return the ConvNet whose last map is nearest 4x4: depth 3 at 32 pixels and 4 at 64 as the authors, 6 at 224."""
    return f"convnet{max(1, round(math.log2(side / 4)))}"


def random_network(name: str, side: int, rng: torch.Generator) -> nn.Module:
    """Return an untrained network on the CPU, its weights drawn from `rng`; torch's own generator is left as it was.

    Raises:
        UserError: no such student, it does not take such images, or it has batch norm.
    """
    import torch

    from harness import build_student

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=rng)))
        net = build_student(name, 1, side).requires_grad_(False).eval()
    if any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in net.modules()):
        raise UserError(
            f"dm.network {name!r} has batch norm: without training it normalises nothing, and an image's embedding would "
            "depend on the others of its batch. Take a student with instance norm, such as convnet3 or resnet_ap10."
        )
    return net


def matching_distance(net: nn.Module, real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Return the squared distance of the mean embeddings of real and synthetic images, summed over the classes.

    Args:
        net: has `features` of each image on its own.
        real: per class, normalised images [B, 3, S, S]; any number of them. No gradient flows to them.
        synthetic: the same; differentiable.
    """
    import torch

    with torch.no_grad():
        images = torch.cat(list(real))
        at_once = max(1, pixels_at_once(images.device) // images.shape[-1] ** 2)
        embedded = torch.cat([net.features(part) for part in images.split(at_once)])  # type: ignore[operator]
    made = net.features(torch.cat(list(synthetic)))  # type: ignore[operator]
    return (_means(made, synthetic) - _means(embedded, real)).square().sum()


def _means(embedded_BD: Tensor, classes: Sequence[Tensor]) -> Tensor:
    """Return the mean of the rows of each class, which stand one after the other."""
    import torch

    return torch.stack([rows.mean(dim=0) for rows in embedded_BD.split([len(images) for images in classes])])


def finished(class_ids: list[str], pixels: list[Tensor], scale: PixelScale) -> DistilledSet:
    """Return the pixels as a distilled set, with a note of how much was outside of what an image can hold."""
    import torch

    shares = scale.shares(torch.stack(pixels).detach())
    outside = ((shares < -HALF_A_LEVEL) | (shares > 1 + HALF_A_LEVEL)).double().mean().item()
    notes = (f"{100 * outside:.1f} % of the values lay outside [0, 1] and were clipped",) if outside else ()
    return DistilledSet(dict(zip(class_ids, shares.clamp(0, 1), strict=True)), notes=notes)


HALF_A_LEVEL = 0.5 / 255
"""What rounding to 8 bits takes away is not clipping."""
