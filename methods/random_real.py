"""Random real images. A distillation method that does not beat this distils nothing."""

from typing import Literal

from pydantic import Field

from harness import DistilledSet, Method, Task, register_method, repeat_to


@register_method("random_real")
class RandomReal(Method):
    """IPC real training images per class, drawn without replacement.

    Paper (Minimax Diffusion, Table 1): "random". The authors' code draws nothing: it takes the first files of each
    folder in byte order (0, 1, 10, 11, ...). Here: drawn by the distillation seed, because a fixed choice has no
    spread; `order: first_files` repeats theirs.
    """

    version = 1
    title = "Random real"
    reference = "random real subset, as in Gu et al., CVPR 2024, Table 1"
    nested = True
    random_subset = True

    class Config(Method.Config):
        """Options."""

        order: Literal["random", "first_files"] = Field(
            "random",
            description="random: by seed; first_files: the first in byte order, as the minimax authors' script",
        )

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Take the first `ipc` of each class's order; a class with fewer images is taken whole, then repeated."""
        images = {}
        for c in task.classes:
            order = self._order(task, c.id, task.real.num_per_class[c.id])
            with task.per_image():
                images[c.id] = task.real.images(c.id, repeat_to(order, ipc))
        return DistilledSet(images)

    def passes(self, num_real: int, num_classes: int, ipc: int, side: int) -> list[tuple[str, float, float]]:
        """Return that no network is needed."""
        return []

    def _order(self, task: Task, class_id: str, count: int) -> list[int]:
        import torch

        if self.config.order == "first_files":
            return list(range(count))
        return torch.randperm(count, generator=task.rng(f"order/{class_id}")).tolist()
