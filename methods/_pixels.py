"""What methods share that learn pixels: real images, how they are normalised, where learning starts, and what is kept.

Legend: B batch, C channels, 3 or 1, S side of an image, pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from harness import DistilledSet, State, Task, UserError, repeat_to

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Start = Literal["real", "noise"]


def real_images(task: Task, class_id: str, num: int | None) -> Tensor:
    """Return `num` real images of a class (None: all), uint8, in random order."""
    import torch

    order = torch.randperm(task.real.num_per_class[class_id], generator=task.rng(f"real/{class_id}"))
    return task.real.images(class_id, order[:num].tolist())


def draw_batch(real: Tensor, num: int, rng: torch.Generator) -> Tensor:
    """Return `num` different ones of these images at random; all of them where there are fewer."""
    import torch

    rows = torch.randperm(len(real), generator=rng)[:num]
    return real[rows.to(real.device)]


def starting_images(task: Task, class_id: str, real: Tensor, scale: PixelScale, ipc: int, start: Start) -> Tensor:
    """Return the synthetic images of a class before the first step, [ipc, C, S, S], normalised."""
    import torch

    noise = torch.randn(ipc, *real.shape[1:], generator=task.rng(f"start/{class_id}")).to(real.device)
    if start == "noise":
        return noise.requires_grad_()
    noise[: len(real)] = 0
    images = scale.normalised(real[repeat_to(list(range(len(real))), ipc)])
    return (images + REPEAT_NOISE * noise).requires_grad_()


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
    """Normalisation by mean and standard deviation per channel of uint8 images [B, C, S, S], all of them together.

    Both come from counts of the 256 levels, which are exact, so they are equal on every device.
    """

    def __init__(self, images: list[Tensor]) -> None:
        import torch

        levels = torch.arange(256, dtype=torch.float64) / 255
        moments = []
        for channel in range(images[0].shape[1]):
            count = torch.stack([part[:, channel].flatten().bincount(minlength=256).cpu() for part in images]).sum(
                dim=0
            )
            share = count / count.sum(dtype=torch.float64)
            mean = share @ levels
            moments.append((mean, (share @ (levels - mean) ** 2).sqrt().clamp(min=1 / 255)))
        means, stds = zip(*moments, strict=True)
        self.mean, self.std = (torch.stack(m).float().view(-1, 1, 1).to(images[0].device) for m in (means, stds))

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


def convnet_for(side: int, channels: int = 3) -> str:
    """Return the ConvNet whose last map is nearest 4x4: depth 3 at 32 pixels and 4 at 64 as the authors, 6 at 224.

    Of grey images its first maps are 4 pixels larger, as in the authors' code: depth 3 at 28 pixels.
    """
    return f"convnet{max(1, round(math.log2((side if channels == 3 else side + 4) / 4)))}"


def random_network(
    name: str, num_classes: int, side: int, rng: torch.Generator, *, option: str, channels: int = 3
) -> nn.Module:
    """Return an untrained network on the CPU, its weights drawn from `rng`; torch's own generator is left as it was.

    Args:
        name: of a student.
        num_classes: outputs.
        side: of the images, pixels.
        rng: where chance comes from.
        option: what named the network, for messages.
        channels: of the images.

    Raises:
        UserError: no such student, it does not take such images, or it has batch norm.
    """
    import torch

    from harness import build_student

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=rng)))
        net = build_student(name, num_classes, side, channels).eval()
    if any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in net.modules()):
        raise UserError(
            f"{option} {name!r} has batch norm: without training it normalises nothing, and what an image gives would "
            "depend on the others of its batch. Take a student with instance norm, such as convnet3 or resnet_ap10."
        )
    return net


def finished(class_ids: list[str], pixels: list[Tensor], scale: PixelScale) -> DistilledSet:
    """Return the pixels as a distilled set, with a note of how much was outside of what an image can hold."""
    import torch

    shares = scale.shares(torch.stack(pixels).detach())
    outside = ((shares < -HALF_A_LEVEL) | (shares > 1 + HALF_A_LEVEL)).double().mean().item()
    notes = (f"{100 * outside:.1f} % of the values lay outside [0, 1] and were clipped",) if outside else ()
    return DistilledSet(dict(zip(class_ids, shares.clamp(0, 1), strict=True)), notes=notes)


HALF_A_LEVEL = 0.5 / 255
"""What rounding to 8 bits takes away is not clipping."""
