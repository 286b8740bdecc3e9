"""One batch of images on its way from a start to what a teacher remembers of real ones, for SRe2L and CDA.

Source: golden/methods/sre2l_cda.json, "whole_run".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness import ClassInfo, DistilledSet, State
from methods._batch_norm import Losses, Objective
from methods._views import View

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class PixelRange:
    """A teacher's normalisation, and what it makes of black and white.

    Args:
        protocol: its mean and std, per channel of images in [0, 1].
    """

    def __init__(self, protocol: Any, device: torch.device | str = "cpu") -> None:
        import torch

        self.mean, self.std = (torch.tensor(v, device=device).view(-1, 1, 1) for v in (protocol.mean, protocol.std))
        self.low, self.high = -self.mean / self.std, (1 - self.mean) / self.std

    def normalised(self, images: Tensor) -> Tensor:
        """Return uint8 images as the teacher sees them."""
        return (images.float() / 255 - self.mean) / self.std

    def shares(self, images: Tensor) -> Tensor:
        """Return normalised images as shares of white, in [0, 1]."""
        return (images * self.std + self.mean).clamp(0, 1)


def learning_rate(step: int, steps: int, lr: float) -> float:
    """Return the learning rate of a step: half a cosine from `lr` at step 0 towards 0 at step `steps`."""
    return 0.5 * (1 + math.cos(math.pi * step / steps)) * lr


class Recovery:
    """Adam on the pixels of one batch; nothing waits for the device before the batch is done.

    Args:
        starts: normalised images [C, S, S], C = 3 or 1.
        labels: the teacher's, one an image.
        num_steps: in all.
    """

    def __init__(
        self,
        starts: Sequence[Tensor],
        labels: Sequence[int],
        objective: Objective,
        pixels: PixelRange,
        lr: float,
        num_steps: int,
    ) -> None:
        import torch

        self.images = torch.stack(list(starts)).requires_grad_()
        self.labels = torch.tensor(labels, device=self.images.device)
        self.objective, self.pixels, self.lr, self.num_steps = objective, pixels, lr, num_steps
        self.adam = torch.optim.Adam([self.images], lr=lr, betas=(0.5, 0.9), eps=1e-8)
        self.num_done = 0
        self.first: Tensor | None = None
        self.last: Tensor | None = None

    def step(self, view: View) -> Losses:
        """Move the pixels once, and clip them to what an image can hold; return the losses before the move."""
        import torch

        self.adam.param_groups[0]["lr"] = learning_rate(self.num_done, self.num_steps, self.lr)
        losses = self.objective(view(self.images), self.labels)
        losses.total.backward()
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.images.clamp_(self.pixels.low, self.pixels.high)
        self.num_done += 1
        self.last = losses.batch_norm.detach()
        self.first = self.last if self.first is None else self.first
        return losses

    def checkpoint(self) -> State:
        """Return what `restore` needs."""
        moving = self.adam.state[self.images]
        assert self.first is not None
        assert self.last is not None
        return {
            "step": self.num_done,
            "images": self.images.detach(),
            "mean": moving["exp_avg"],
            "square": moving["exp_avg_sq"],
            "distances": [float(self.first), float(self.last)],
        }

    def restore(self, saved: State | None) -> None:
        """Put a checkpoint back where there is one."""
        import torch

        if saved is None:
            return
        device = self.images.device
        self.num_done = int(saved["step"])
        with torch.no_grad():
            self.images.copy_(saved["images"])
        self.adam.state[self.images] = {
            "step": torch.tensor(float(self.num_done)),
            "exp_avg": saved["mean"].to(device, copy=True),
            "exp_avg_sq": saved["square"].to(device, copy=True),
        }
        self.first, self.last = (torch.tensor(value, device=device) for value in saved["distances"])


@dataclass
class Made:
    """The batches that are done: their images, uint8 on the CPU, and their distances in the first and the last step.

    Attributes:
        unfinished: checkpoint of the next batch, where there is one.
    """

    images: list[Tensor] = field(default_factory=list)
    distances: list[list[float]] = field(default_factory=list)
    unfinished: State | None = None

    @property
    def num_batches(self) -> int:
        """Batches that are done."""
        return len(self.distances)

    def add(self, recovery: Recovery) -> None:
        """Take the images of a batch, rounded to 8 bits; the device is waited for here."""
        import torch

        assert recovery.first is not None
        assert recovery.last is not None
        shares = recovery.pixels.shares(recovery.images.detach())
        self.images.append((shares * 255).round().to(torch.uint8).cpu())
        self.distances.append([float(recovery.first), float(recovery.last)])
        self.unfinished = None

    def checkpoint(self, recovery: Recovery) -> State:
        """Return what `restored` needs in the middle of a batch."""
        import torch

        if len(self.images) > 1:
            self.images = [torch.cat(self.images)]  # gigabytes for ImageNet-1K: no second copy stays
        done = {"done/images": self.images[0]} if self.images else {}
        now = {f"now/{name}": value for name, value in recovery.checkpoint().items()}
        return {**done, **now, "done/distances": self.distances}

    @classmethod
    def restored(cls, saved: State | None) -> Made:
        """Return what a killed run had made."""
        if saved is None:
            return cls()
        unfinished = {k.removeprefix("now/"): v for k, v in saved.items() if k.startswith("now/")}
        return cls([saved["done/images"]] if "done/images" in saved else [], saved["done/distances"], unfinished)

    def distilled(self, batches: Sequence[tuple[int, tuple[ClassInfo, ...]]]) -> DistilledSet:
        """Return the images by class, in the order of their numbers, and what happened to the distance as a note."""
        import torch

        found: dict[str, list[Tensor]] = {}
        classes = [c.id for _, part in batches for c in part]
        for class_id, image in zip(classes, (image for part in self.images for image in part), strict=True):
            found.setdefault(class_id, []).append(image)
        first, last = (sum(values) / len(values) for values in zip(*self.distances, strict=True))
        note = f"distance to the teacher's batch-norm statistics: {first:.3g} at the start, {last:.3g} at the end"
        return DistilledSet({name: torch.stack(images) for name, images in found.items()}, notes=(note,))
