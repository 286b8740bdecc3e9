"""Work that goes class by class: real images as latents, and results that a killed job does not compute again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from harness import ClassConditionalGenerator, ClassInfo, Task, UserError

if TYPE_CHECKING:
    from torch import Tensor

SAVE_EVERY_S = 30.0
"""Seconds between checkpoints, at least: what a kill may cost beside the class in work."""

ENCODED_AT_ONCE = 64
"""Images that go through the encoder together, as in the engine's latent cache."""


def by_class(
    task: Task, stage: str, images: Mapping[str, int], work: Callable[[ClassInfo, Callable[[int], None]], Tensor]
) -> dict[str, Tensor]:
    """Return the result of each class, by class id; those that a checkpoint has are not computed again.

    Args:
        task: whose classes, progress and checkpoint.
        stage: names the work in the progress display.
        images: how many images each class has, for the progress.
        work: takes a class and a function to be told how many of its images are done; returns a tensor. It depends on
            nothing but the class.
    """
    results = dict(task.checkpoint.load() or {})
    saved_at = time.monotonic()
    with task.progress(sum(images[c.id] for c in task.classes), "image", stage) as advance:

        def tell(num: int) -> None:
            advance(num + sum(images[name] for name in results))

        for c in task.classes:
            if c.id in results:
                continue
            results[c.id] = work(c, tell)
            tell(0)
            if time.monotonic() - saved_at >= SAVE_EVERY_S:
                task.checkpoint.save(results)
                saved_at = time.monotonic()
    return results


def posteriors(task: Task, generator: ClassConditionalGenerator, c: ClassInfo) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield mean and standard deviation [B, C, h, w] of the latents of a class's real images, in their order, unflipped.

    Raises:
        UserError: the images have another size than the generator's.
    """
    if task.image_size != generator.image_size:
        raise UserError(
            f"images of {task.image_size} pixels for a generator of {generator.image_size}; give the suite that image_size"
        )
    count = task.real.num_per_class[c.id]
    for start in range(0, count, ENCODED_AT_ONCE):
        yield generator.encode_moments(task.real.images(c.id, range(start, min(count, start + ENCODED_AT_ONCE))))
