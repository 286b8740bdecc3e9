"""What a task gives a method beside generators: real training images, features, a teacher. Shapes as in generators.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


class RealImages(Protocol):
    """The real training images of the task's classes; uint8, on the task's device. Never the test split.

    K is `Task.channels`: 3, or 1 in a grey suite.
    """

    @property
    def class_ids(self) -> tuple[str, ...]: ...

    @property
    def num_per_class(self) -> dict[str, int]: ...

    def names(self, class_id: str) -> list[str]:
        """Return the file names of a class in byte order; a name's position is the image's index."""

    def images(self, class_id: str, indices: Iterable[int] | None = None) -> Tensor:
        """Return images [n, K, S, S] of one class: these, or all. Do not write into it."""

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return all images [N, K, S, S] and labels [N], class after class."""


class FeatureExtractor(Protocol):
    """A trained network without its last layer."""

    def __call__(self, images_B3HW: Tensor) -> Tensor:
        """Return features [B, D] of uint8 images of any side."""


class Teacher(Protocol):
    """The suite's teacher, or the method's own; its outputs are in the suite's class order."""

    @property
    def protocol(self) -> Any:
        """Its training protocol; `protocol.mean` and `.std` normalise its images."""

    @property
    def network(self) -> nn.Module:
        """Maps normalised images [B, K, S, S] to logits [B, classes], differentiable in them; frozen, in eval mode."""

    @property
    def side(self) -> int | None:
        """Side S of the images that it was trained on, pixels; None: any."""

    def label(self, images_B3SS: Tensor) -> Tensor:
        """Return logits [B, classes] of uint8 images."""


class Whitening(Protocol):
    """The ZCA whitening of the suite's real training images."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return white images of images [B, K, S, S], float in [0, 1]."""

    def inverse(self, images: Tensor) -> Tensor:
        """Return the images in [0, 1] that white ones were made of."""


class TaskResources(Protocol):
    """What a task fetches on demand; the jobs provide it, so that a method never handles paths or keys."""

    def generator(self, kind: str) -> Any: ...

    def features(self, name: str) -> FeatureExtractor: ...

    def teacher(self) -> Teacher: ...

    def whitening(self, side: int) -> Whitening: ...
