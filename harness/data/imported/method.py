"""Given images as a method: what `synthesize` returns is what was given, so that everything after it is as for any method."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from harness.core.config.base import UNHASHED
from harness.core.errors import UserError
from harness.core.plugin.distilled_set import DistilledSet
from harness.core.plugin.method import Method
from harness.core.plugin.task import Task
from harness.data.imported.base import Rows
from harness.data.imported.open import open_imported
from harness.data.imported.pixels import ZCA, Pixels

if TYPE_CHECKING:
    import torch


class ImportedImages(Method):
    """Base of the method that `harness evaluate` makes of a set, under the name that the user gives it.

    The set is read on the machine where it lies, once, into the store. Its content stands in the key, its place does not.
    """

    version = 1
    reference = "given images"
    nested = True
    given = True

    class Config(Method.Config):
        """What is given, and what of it is taken."""

        path: str = Field(description="folder or file", json_schema_extra=UNHASHED)
        labels_path: str | None = Field(None, description="separate file of labels, if any", json_schema_extra=UNHASHED)
        fingerprint: str = Field(description="SHA-256 of the images that may be used, and of their labels")
        side: PositiveInt = Field(description="side length of the stored images, pixels")
        pick: Literal["first", "random"] = Field(
            "first", description="if there are more images than IPC: the first in byte order, or a seeded random subset"
        )
        soft_labels: bool = Field(False, description="use the soft labels of the set")
        class_order: str | None = Field(None, description="meaning of numeric classes", json_schema_extra=UNHASHED)
        normalised: str | None = Field(
            None, description="normalisation of float tensors; zca: whitened", json_schema_extra=UNHASHED
        )
        keep_float: bool = Field(False, description="keep float32 pixels, without clipping or rounding")

    def image_side(self) -> int:
        return self.config.side

    def own_labels(self) -> bool:
        return self.config.soft_labels

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Return the images that were given.

        Raises:
            UserError: they are no longer there, or no longer those that were planned with.
        """
        cfg = self.config
        found = open_imported(
            cfg.path,
            task.classes,
            labels_path=cfg.labels_path,
            order=cfg.class_order,
            pixels=Pixels(
                task.channels, cfg.normalised, cfg.keep_float, _unwhitening(task) if cfg.normalised == ZCA else None
            ),
        )
        first = cfg.pick == "first"
        if found.fingerprint_of(ipc if first else None, labels=cfg.soft_labels) != cfg.fingerprint:
            raise UserError(f"{cfg.path} has changed since this run was planned. Run the same command again.")
        if len(found.sets) > 1:
            found = found.sets[task.seed]
        offered = found.first(ipc) if first else found.all()
        rows = offered if first else _drawn(task, offered, ipc)
        return DistilledSet(
            {c.id: found.load(c.id, rows[c.id], cfg.side) for c in task.classes},
            notes=(f"given images; {found.order}", *found.remarks),
            soft_labels={c.id: found.soft_labels(c.id, rows[c.id]) for c in task.classes} if cfg.soft_labels else None,
            keep_float=cfg.keep_float,
        )


def _unwhitening(task: Task) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what undoes the ZCA whitening of images on the CPU."""
    whitening = task.whitening()
    return lambda images: whitening.inverse(images.to(task.device)).cpu()


def _drawn(task: Task, offered: Rows, ipc: int) -> Rows:
    """Return `ipc` images of every class drawn without replacement; a smaller IPC is the head of a larger."""
    import torch

    return {c: torch.randperm(len(rows), generator=task.rng(f"pick/{c}"))[:ipc].tolist() for c, rows in offered.items()}
