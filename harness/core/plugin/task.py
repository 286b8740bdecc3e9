"""What a method is given: a `Task` with real training images, classes, random streams and services; never the test split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from harness.core import seeds
from harness.core.classes import ClassInfo
from harness.core.plugin.generators import ClassConditionalGenerator
from harness.core.plugin.resources import FeatureExtractor, RealImages, TaskResources, Teacher, Whitening
from harness.core.plugin.text_generators import TextToImageGenerator
from harness.core.progress import ProgressCallback, no_progress

if TYPE_CHECKING:
    import torch


State = dict[str, Any]
"""What `fit` hands to `synthesize`: names to tensors or plain JSON values. The store saves it without pickles."""


class Checkpoint(Protocol):
    """Saves the state of a long fit, so that a killed run resumes it. Values as in `State`."""

    def load(self) -> State | None: ...

    def save(self, state: State) -> None: ...

    def file(self, name: str) -> Path | None:
        """Return where a large intermediate file of the job may lie until the job is done; None: keep it in memory."""


class NoCheckpoint:
    """Keeps nothing: for short work and tests."""

    def load(self) -> State | None:
        return None

    def save(self, state: State) -> None:
        del state

    def file(self, name: str) -> Path | None:
        return None


@dataclass
class Task:
    """The input of a method: real training images, classes, and services; never the test split.

    Attributes:
        classes: the classes to distil, in label order (one group of them inside a grouped `fit`).
        real: the real training images of these classes.
        image_size: side of the distilled images, pixels.
        device: device for tensors.
        seed: the distillation seed.
        scope: prefix of the job's random streams: kind of job and method.
        channels: channels of real and distilled images: 3 (RGB), or 1 in a grey suite.
        per_image: `with task.per_image():` marks work of `synthesize` that grows with the number of images. A nested method
            makes only its largest set: this part of its time is divided among smaller sets by their number of images, the
            rest counts fully for each. Loading inside it is excluded.
    """

    classes: tuple[ClassInfo, ...]
    real: RealImages
    image_size: int
    device: torch.device
    seed: int
    scope: tuple[str, ...]
    services: TaskResources
    channels: int = 3
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    report: ProgressCallback = no_progress
    per_image: Callable[[], AbstractContextManager[Any]] = nullcontext
    curves: list[dict[str, float]] = field(default_factory=list)

    def rng(self, stage: str) -> torch.Generator:
        """Return a new CPU random stream for `stage`, derived from the seed, the kind of job and the method."""
        return seeds.generator(self.seed, *self.scope, stage)

    @overload
    def generator(self, kind: Literal["class_conditional"] = "class_conditional") -> ClassConditionalGenerator: ...

    @overload
    def generator(self, kind: Literal["text_to_image"]) -> TextToImageGenerator: ...

    @overload
    def generator(self, kind: str) -> Any: ...

    def generator(self, kind: str = "class_conditional") -> Any:
        """Return the suite's pretrained generator of that kind; each job gets its own copy.

        Their interfaces: harness/core/plugin/generators.py. Loading time does not count as distillation time.
        """
        return self.services.generator(kind)

    def features(self, name: str = "teacher") -> FeatureExtractor:
        """Return a feature extractor: the suite's teacher, or "timm:NAME"."""
        return self.services.features(name)

    def teacher(self) -> Teacher:
        """Return the suite's teacher, or the method's own: `label(images)` gives logits in the suite's class order.

        Its `network` takes normalised images, for methods that differentiate through it.
        """
        return self.services.teacher()

    def whitening(self) -> Whitening:
        """Return the ZCA whitening of the suite's real training images (all classes) at `image_size`, as kornia has it.

        Calling it whitens images, `inverse` inverts that; images are on `device`.
        """
        return self.services.whitening(self.image_size)

    def log(self, step: int, **values: float) -> None:
        """Record values of a training curve; they are saved with the state as curves.csv."""
        self.curves.append({"step": step, **values})

    @contextmanager
    def progress(self, total: int, unit: str = "step", stage: str = "") -> Iterator[Callable[[int], None]]:
        """Show progress: yields a function that takes the number of finished steps."""
        name = stage or self.scope[0]
        self.report(name, 0, total, unit)
        yield lambda done: self.report(name, done, total, unit)
        self.report(name, total, total, unit)
