"""RDED: crop real images at random, keep the crops that a teacher finds most realistic, put f x f of them into one image.

Paper: Sun et al., On the Diversity and Realism of Distilled Dataset: An Efficient Dataset Distillation Paradigm, CVPR
2024. Only the images are made here; their soft labels are the `rded` protocol's. Legend: M crops per image, N real
images, C channels, 3 or 1, K patches, S side of an image, P side of a patch, pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from harness import ClassInfo, DistilledSet, Method, Task, UserError, register_method, repeat_to, search

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from harness import Teacher


@register_method("rded")
class RDED(Method):
    """Of each class: the best crop of each of N real images, of those the ipc * f^2 best, f^2 to an image.

    Paper: a crop's realism is the teacher's cross-entropy for the class of the image; lower is more realistic.
    Paper/Code: one crop per image is kept, from 300 images, so that more than 300 patches cannot be had. Here: as many
    images as patches are needed where the class has them; where it has not, the second-best crops of its images follow
    the best, and so on, and then the patches repeat, because long-tail suites have classes of a few images.
    Paper/Code: crops of the whole photograph, at the student's size, scored before they are rounded, kept as JPEG. Here:
    crops of the suite's square images, at the suite's image size, rounded to 8 bits before they are scored, kept as PNG,
    because every method gets the same real images, and what is kept should be what was scored.
    """

    version = 1
    title = "RDED"
    reference = "Sun et al., On the Diversity and Realism of Distilled Dataset, CVPR 2024"
    bibtex = """@inproceedings{sun2024rded,
      author = {Sun, Peng and Shi, Bei and Yu, Daiwei and Lin, Tao},
      title = {On the Diversity and Realism of Distilled Dataset: An Efficient Dataset Distillation Paradigm},
      booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
      pages = {9390--9399},
      year = {2024},
    }"""
    needs = {"teacher"}

    class Config(Method.Config):
        """Options; the defaults are those of the authors' code."""

        factor: int | None = Field(
            None,
            ge=1,
            description="f: an image is made of f x f patches; null: 1 up to 64 pixels, 2 above, as in the authors' scripts",
            json_schema_extra=search("choice", 1, 2),  # the two of the authors' scripts
        )
        images_per_class: int = Field(
            300, ge=1, description="real images to crop, drawn at random (authors: mipc); more where IPC x f^2 is more"
        )
        num_crops: int = Field(
            5,
            ge=1,
            description="random crops of each image, of which the best is kept",
            json_schema_extra=search("integers", 1, 10),  # 1 chooses among images only; twice the published number
        )
        crop_scale: tuple[float, float] = Field(
            (0.08, 1.0), description="area range of a crop, as a share of the image"
        )

        @field_validator("crop_scale")
        @classmethod
        def _shares(cls, scale: tuple[float, float]) -> tuple[float, float]:
            if not 0 < scale[0] <= scale[1] <= 1:
                raise ValueError(f"{list(scale)} must be [low, high] with 0 < low <= high <= 1")
            return scale

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Choose and put together the patches, class by class."""
        import torch

        side, factor = task.image_size, self._factor(task.image_size)
        teacher, images = task.teacher(), {}
        with task.progress(len(task.classes), "class", "cropping") as advance:
            for number, c in enumerate(task.classes):
                patches, loss = self._crops(task, c, teacher, ipc * factor**2, side // factor)
                chosen = torch.tensor(repeat_to(realism_order(loss), ipc * factor**2), device=loss.device)
                images[c.id] = mosaic(patches.flatten(0, 1)[chosen], ipc, factor, side)
                advance(number + 1)
        return DistilledSet(images)

    def passes(self, num_real: int, num_classes: int, ipc: int, side: int) -> list[tuple[str, float, float]]:
        """Return the crops that the teacher scores."""
        per_class = min(num_real / num_classes, max(self.config.images_per_class, ipc * self._factor(side) ** 2))
        return [("teacher", 0, num_classes * per_class * self.config.num_crops)]

    def _factor(self, side: int) -> int:
        factor: int = self.config.factor or (1 if side <= 64 else 2)
        if factor > side:
            raise UserError(
                f"rded.factor is {factor}, but an image of {side} pixels has no {factor} x {factor} patches; set it to "
                f"{side} or less"
            )
        return factor

    def _crops(self, task: Task, c: ClassInfo, teacher: Teacher, needed: int, size: int) -> tuple[Tensor, Tensor]:
        """Return the crops of one class, [M, N, C, P, P] uint8, and the teacher's loss of each, [M, N]."""
        import torch
        from torch.nn import functional

        rng, cfg, count = task.rng(f"crops/{c.id}"), self.config, task.real.num_per_class[c.id]
        rows = torch.randperm(count, generator=rng)[: max(cfg.images_per_class, needed)].tolist()
        real = task.real.images(c.id, rows)
        colour = (255 * torch.tensor(teacher.protocol.mean, device=real.device)).round().to(torch.uint8)
        patches, losses = [], []
        for _ in range(cfg.num_crops):
            patches.append(crop(real, draw_squares(len(rows), task.image_size, cfg.crop_scale, rng), size))
            logits = teacher.label(centred(patches[-1], task.image_size, colour))
            losses.append(
                functional.cross_entropy(logits, logits.new_full((len(rows),), c.label).long(), reduction="none")
            )
        return torch.stack(patches), torch.stack(losses)


def draw_squares(num: int, side: int, scale: tuple[float, float], rng: torch.Generator) -> Tensor:
    """Draw square crops of square images: int64 [num, 3], top, left and length in pixels.

    The area is uniform in `scale`, the place uniform among those where the square fits, as in torchvision's
    RandomResizedCrop with a ratio of 1.
    """
    import torch

    area, top, left = torch.rand(num, 3, dtype=torch.float64, generator=rng).unbind(1)
    length = (side * (scale[0] + area * (scale[1] - scale[0])).sqrt()).round().clamp(1, side)
    free = side - length + 1
    return torch.stack([(top * free).floor(), (left * free).floor(), length], dim=1).long()


def crop(images_NCSS: Tensor, squares_N3: Tensor, size: int) -> Tensor:
    """Cut one square out of each uint8 image and resize it (bilinear, antialiased) to uint8 [N, C, size, size]."""
    import torch
    from torch.nn import functional

    cut = []
    for image, (top, left, length) in zip(images_NCSS, squares_N3.tolist(), strict=True):
        square = image[None, :, top : top + length, left : left + length].float()
        cut.append(functional.interpolate(square, size=(size, size), mode="bilinear", antialias=True)[0])
    return torch.stack(cut).round().clamp(0, 255).to(torch.uint8)


def centred(patches_KCPP: Tensor, side: int, colour_C: Tensor) -> Tensor:
    """Put each patch into the middle of an image of one colour, [K, C, side, side].

    An odd margin has its larger part below and on the right. The colour is the normalisation's mean: zero for the teacher.
    """
    size = patches_KCPP.shape[-1]
    start = (side - size) // 2
    images = colour_C.view(1, -1, 1, 1).repeat(len(patches_KCPP), 1, side, side)
    images[:, :, start : start + size, start : start + size] = patches_KCPP
    return images


def realism_order(loss_MN: Tensor) -> list[int]:
    """Order the crops, as positions in the flattened [M, N]: the best of every image first, then the second best, ...

    Within each of these rounds the lowest loss comes first; ties go to the earlier image, then to the earlier crop.
    """
    import torch

    num = loss_MN.shape[1]
    rounds_MN, crops_MN = loss_MN.sort(dim=0, stable=True)
    by_loss_MN = rounds_MN.argsort(dim=1, stable=True)
    return torch.flatten(crops_MN.gather(1, by_loss_MN) * num + by_loss_MN).tolist()


def mosaic(patches_KCPP: Tensor, ipc: int, factor: int, side: int) -> Tensor:
    """Put factor x factor patches into each of `ipc` images: place k, row by row, of image j gets patch k * ipc + j.

    So the most realistic patches are the top left ones of all images. Where the side is no multiple of the factor the
    first rows and columns are one pixel larger, and their patches are stretched (nearest neighbour).

    Args:
        patches_KCPP: K = ipc * factor**2 patches, the most realistic first.

    Returns:
        [ipc, C, side, side], of the patches' type.
    """
    import torch

    size, rest = divmod(side, factor)
    nearest = [torch.arange(size + (i < rest)) * size // (size + (i < rest)) for i in range(factor)]
    places = patches_KCPP.unflatten(0, (factor, factor, ipc))
    rows = [
        torch.cat([places[i, j][:, :, nearest[i]][..., nearest[j]] for j in range(factor)], dim=-1)
        for i in range(factor)
    ]
    return torch.cat(rows, dim=-2)
