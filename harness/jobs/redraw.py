"""Fresh images for a student in training: what a generative set, which stores no images, can draw again and again.

In: a training job whose method redraws. Out: a function from a number to the images of that draw, as a student sees
them. The images come from the random streams of `synthesize`, so that every student of a set sees the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.data.sets.folder import seen_by_students
from harness.jobs.checkpoint import load_state
from harness.jobs.context import JobContext
from harness.jobs.job import Job, class_groups
from harness.jobs.task_resources import JobTaskResources

if TYPE_CHECKING:
    import torch

    from harness.core.plugin.distilled_set import DistilledSet
    from harness.core.plugin.method import Method
    from harness.core.plugin.task import Task


class RedrawnImages:
    """Draws the sets of one training.

    Args:
        job: the training job; its `redraw` entry says which method, how configured, and how often.
        context: the run's.
        method: the method of that entry.
        make_task: makes the task of a class group, from a job and its services.
    """

    def __init__(
        self, job: Job, context: JobContext, method: Method, make_task: Callable[..., Task], services: JobTaskResources
    ) -> None:
        self.every: int = job.spec["redraw"]["every"]
        self.seconds = 0.0
        self._side, self._ipc, self._size = job.spec["side"], job.spec["ipc"], job.spec["redraw"]["image_size"]
        self._classes, self._channels = context.classes, context.channels
        self._drawers: list[tuple[Any, Callable[[int], DistilledSet]]] = []
        as_synthesis = replace(job, kind="synthesize", spec=job.spec["redraw"])
        shared = _OneGenerator(as_synthesis, context, services.clock)
        fits = job.deps.get("fit", ())
        groups = class_groups(context.classes, job.spec["redraw"]["group_size"] if fits else None)
        for number, group in enumerate(groups):
            state = load_state(services.store.path("fit", fits[number])) if fits else None
            task = make_task(as_synthesis, group, shared)
            self._drawers.append((group, method.drawer(task, state, self._ipc)))

    def __call__(self, number: int) -> torch.Tensor:
        """Return draw `number` as uint8 [N, K, S, S], class after class."""
        start = time.perf_counter()
        images: dict[str, torch.Tensor] = {}
        for group, draw in self._drawers:
            images |= draw(number).check(group, self._ipc, self._size, self._channels).images
        seen = seen_by_students(images, self._classes, self._side)
        self.seconds += time.perf_counter() - start
        return seen


class _OneGenerator(JobTaskResources):
    """The services of a synthesis, with one generator for all class groups: weights of gigabytes are loaded once."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._loaded: dict[str, Any] = {}

    def generator(self, kind: str) -> Any:
        """Return the generator of that kind, loaded at the first call."""
        if kind not in self._loaded:
            self._loaded[kind] = super().generator(kind)
        return self._loaded[kind]
