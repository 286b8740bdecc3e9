"""SRe2L and CDA: learn images whose statistics inside a teacher are those that its batch-norm layers remember.

Papers: Yin, Xing and Shen, Squeeze, Recover and Relabel, NeurIPS 2023; Yin and Shen, Dataset Distillation via Curriculum
Data Synthesis in Large Data Era, TMLR 2024. Only the images are made here ("recover"); soft labels are the protocol's.
Legend: B images that learn together, one of each class; S side of an image, P side of what the teacher sees, pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness import UNHASHED, ClassInfo, DistilledSet, Method, Task, register_method, search
from methods._batch_norm import Objective
from methods._recovery import Made, PixelRange, Recovery
from methods._views import View, draw_view
from methods.rded import RDED, mosaic, realism_order

if TYPE_CHECKING:
    from torch import Tensor

    from harness import Teacher


@register_method("sre2l")
class SRe2L(Method):
    """Adam on the pixels: cross-entropy of the teacher, plus the distance of its batch-norm layers' inputs from their memory.

    Image i of up to `classes_at_once` classes learns in one batch, because the batch decides the statistics; the batches
    stand in label order and know nothing of each other, so the images at IPC 10 are the head of those at IPC 50, bit for bit.

    Paper/Code: mean and biased variance of the INPUT of each layer, over batch and pixels; norms that are not squared; the
    first layer, in the order of registration, counts ten times. Here: the same.
    Paper/Code: crop, flip and shift are drawn once for the whole batch, because torchvision is given the batch as one
    tensor; shifts go one way only (0 to 32; -4 to 4 for Tiny-ImageNet). Here: the same, 0 to `jitter`.
    Paper/Code: the option to store the best images stores the last ones. Here: the last ones.
    Paper/Code: from noise. Here: also from real images or RDED's mosaics, as SRe2L's successors; a class with fewer of them
    than IPC, such as in a long tail, starts its other images from noise.
    Paper/Code: 8 bits by truncation, as JPEG. Here: rounded, as PNG, because every set is stored so.
    Paper/Code: pixels at the side that the teacher sees, 224. Here: at the suite's image size, resized with the crop to the
    side that the teacher was trained at, because all sets of a suite have one size.
    Paper/Code: torchvision's ResNet-18 with its own weights. Here: the suite's teacher, or one that is trained for this
    method (`teacher`); without batch norm there is nothing to match, which is told before the run.
    Paper/Code: 1,000 classes are hard-coded, and l2 fails on a last, smaller batch. Here: neither.
    """

    version = 1
    title = "SRe2L"
    reference = "Yin et al., Squeeze, Recover and Relabel: Dataset Condensation at ImageNet Scale, NeurIPS 2023"
    bibtex = """@inproceedings{yin2023sre2l,
      author = {Yin, Zeyuan and Xing, Eric and Shen, Zhiqiang},
      title = {Squeeze, Recover and Relabel: Dataset Condensation at {ImageNet} Scale From A New Perspective},
      booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
      year = {2023},
    }"""
    needs = {"batch_norm_teacher"}
    nested = True

    class Config(Method.Config):
        """Options; the defaults are those of the authors' ImageNet-1K script, other data sets' in brackets."""

        iterations: int = Field(4000, ge=1, description="steps of each batch (CIFAR: 1000)")
        lr: float = Field(
            0.25,
            gt=0,
            description="Adam's learning rate of normalised pixels, by a cosine to 0 (Tiny-ImageNet: 0.1)",
            json_schema_extra=search("log", 0.05, 0.5),  # holds all published values, 0.05 (ImageNet-21K) to 0.4
        )
        r_bn: float = Field(
            0.01,
            ge=0,
            description="weight of the batch-norm distance against the cross-entropy (Tiny-ImageNet: 1)",
            json_schema_extra=search("log", 1e-3, 1.0),  # the published values, and a decade below
        )
        first_bn_multiplier: float = Field(10.0, ge=0, description="weight of the first layer; the others have 1")
        tv: float = Field(0.0, ge=0, description="weight of the total variation (script's own default: 1e-4)")
        l2: float = Field(0.0, ge=0, description="weight of the mean 2-norm of the images (script's own default: 1e-5)")
        crop: bool | None = Field(
            None,
            description="random resized crop before the teacher; null: above 32 pixels, as in the authors' scripts",
        )
        min_crop: float = Field(
            0.08, gt=0, le=1, description="least area of the crop, as a share; torchvision's default"
        )
        flip: bool | None = Field(None, description="horizontal flip in half of the steps; null: where there are crops")
        jitter: int | None = Field(
            None,
            ge=0,
            description="largest shift, pixels, round the edges; null: 32, and 4 up to 64 pixels, as authors",
        )
        start: Literal["noise", "real", "rded"] = Field(
            "noise",
            description="noise, as the authors; random real images of the class; or mosaics of RDED; noise where these run out",
            json_schema_extra=search("choice", "noise", "real", "rded"),  # what SRe2L's successors changed first
        )
        classes_at_once: int = Field(
            100, ge=1, description="classes whose images learn in one batch (authors: batch size)"
        )
        teacher: str | None = Field(
            None,
            description="student name of a teacher with batch norm to train, such as convnet3_bn; null: the suite's",
        )
        checkpoint_every: int = Field(
            4000,
            ge=1,
            description="steps between checkpoints, which hold all images so far",
            json_schema_extra=UNHASHED,
        )

    def own_teacher(self) -> str | None:
        """Return the option `teacher`."""
        name: str | None = self.config.teacher
        return name

    def passes(self, num_real: int, num_classes: int, ipc: int, side: int) -> list[tuple[str, float, float]]:
        """Return the teacher's work: forward, and back to the pixels; its weights stay."""
        return [("teacher", 0, 2 * ipc * num_classes * self.config.iterations)]

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Recover the images batch by batch; a killed run goes on from its last checkpoint."""
        cfg, teacher = self.config, task.teacher()
        batches = one_of_each(task.classes, ipc, cfg.classes_at_once)
        mosaics = {c.id: self._mosaics(task, c, teacher, ipc) for c in task.classes} if cfg.start == "rded" else {}
        made = Made.restored(task.checkpoint.load())
        total, pixels = len(batches) * cfg.iterations, PixelRange(teacher.protocol, task.device)
        with (
            Objective(teacher.network, cfg) as objective,
            task.per_image(),
            task.progress(total, "step", "recovering") as advance,
        ):
            for number in range(made.num_batches, len(batches)):
                image, classes = batches[number]
                starts = [self._start(task, c, image, pixels, mosaics) for c in classes]
                recovery = Recovery(starts, [c.label for c in classes], objective, pixels, cfg.lr, cfg.iterations)
                recovery.restore(made.unfinished)
                for step in range(recovery.num_done, cfg.iterations):
                    recovery.step(self._view(task, teacher, f"{image}/{classes[0].id}", step))
                    done = number * cfg.iterations + step + 1
                    if done % cfg.checkpoint_every == 0:
                        task.checkpoint.save(made.checkpoint(recovery))
                    advance(done)
                made.add(recovery)
        return made.distilled(batches)

    def _view(self, task: Task, teacher: Teacher, batch: str, step: int) -> View:
        """Draw how the teacher sees a batch in one step."""
        cfg, side = self.config, task.image_size
        crop = cfg.crop if cfg.crop is not None else side > 32
        jitter = cfg.jitter if cfg.jitter is not None else 32 if side > 64 else 4
        return draw_view(
            task.rng(f"view/{batch}/{step}"),
            side,
            teacher.side or side,
            min_crop=self._min_crop(step) if crop else None,
            flip=cfg.flip if cfg.flip is not None else crop,
            jitter=jitter,
        )

    def _min_crop(self, step: int) -> float:
        """Return the least area of a crop in a step."""
        least: float = self.config.min_crop
        return least

    def _start(self, task: Task, c: ClassInfo, image: int, pixels: PixelRange, mosaics: dict[str, Tensor]) -> Tensor:
        """Return what image number `image` of a class starts from, normalised, [channels, S, S]."""
        import torch

        count = task.real.num_per_class[c.id]
        if self.config.start == "real" and image < count:
            row = torch.randperm(count, generator=task.rng(f"start/{c.id}"))[image]
            return pixels.normalised(task.real.images(c.id, [int(row)])[0])
        if self.config.start == "rded" and image < len(mosaics[c.id]):
            return pixels.normalised(mosaics[c.id][image].to(task.device))
        shape = (task.channels, task.image_size, task.image_size)
        return torch.randn(shape, generator=task.rng(f"start/{c.id}/{image}")).to(task.device)

    @staticmethod
    def _mosaics(task: Task, c: ClassInfo, teacher: Teacher, ipc: int) -> Tensor:
        """Return up to `ipc` of RDED's mosaics, uint8 on the CPU; with its defaults, but for their order.

        Its mosaics depend on the IPC. Here: image j gets the f^2 patches after those of image j - 1 in the teacher's order.
        """
        import torch

        rded, side = RDED(), task.image_size
        factor = rded._factor(side)
        patches, loss = rded._crops(task, c, teacher, 0, side // factor)
        order = torch.tensor(realism_order(loss), device=loss.device)
        num = min(ipc, len(order) // factor**2)
        by_place = order[: num * factor**2].unflatten(0, (num, factor**2)).T.flatten()
        return mosaic(patches.flatten(0, 1)[by_place], num, factor, side).cpu()


@register_method("cda")
class CDA(SRe2L):
    """SRe2L with a curriculum: whole images first, then crops that may be smaller and smaller.

    Paper/Code: the script's default is no curriculum (milestone 0); the published runs have it over all steps. Here: 1.
    In the first step no crop other than the whole image is possible. Elsewhere: the notes of SRe2L hold.
    """

    title = "CDA"
    reference = "Yin and Shen, Dataset Distillation via Curriculum Data Synthesis in Large Data Era, TMLR 2024"
    bibtex = """@article{yin2024cda,
      author = {Yin, Zeyuan and Shen, Zhiqiang},
      title = {Dataset Distillation via Curriculum Data Synthesis in Large Data Era},
      journal = {Transactions on Machine Learning Research},
      year = {2024},
    }"""

    class Config(SRe2L.Config):
        """Options; the defaults are those of the authors' ImageNet-1K command, other data sets' in brackets."""

        crop: bool | None = Field(True, description="random resized crop before the teacher; null: above 32 pixels")
        milestone: float = Field(
            1.0,
            ge=0,
            le=1,
            description="share of the steps over which the least area of a crop falls from 1 to min_crop",
            json_schema_extra=search("linear", 0.0, 1.0),  # the whole range: 0 is SRe2L
        )
        curriculum: Literal["cosine", "linear", "step"] = Field(
            "cosine", description="how it falls; step: whole images up to the milestone"
        )

    def _min_crop(self, step: int) -> float:
        cfg = self.config
        return least_crop(step, cfg.iterations, cfg.milestone, cfg.curriculum, cfg.min_crop)


def least_crop(step: int, iterations: int, milestone: float, curriculum: str, least: float) -> float:
    """Return the least area of a crop in a step, as a share of the image: from 1 down to `least`."""
    if step >= milestone * iterations:
        return least
    done = step / (milestone * iterations)
    left = {"step": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[curriculum]
    return least + (1 - least) * left


def one_of_each(classes: tuple[ClassInfo, ...], ipc: int, at_once: int) -> list[tuple[int, tuple[ClassInfo, ...]]]:
    """Return the batches: image 0 of all classes, `at_once` of them at a time in label order, then image 1, ..."""
    parts = [classes[first : first + at_once] for first in range(0, len(classes), at_once)]
    return [(image, part) for image in range(ipc) for part in parts]
