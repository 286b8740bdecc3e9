"""What a method returns: images by class, checked, with what a generative set keeps in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.classes import ClassInfo

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Stored:
    """What a generative set stores instead of its images.

    Attributes:
        files: name -> content; their sizes are the set's storage. Class groups with a file of the same name must give it the
            same content; it counts once.
        shared_bytes: size of the generator that turns it into images; shared by all sets and class groups, reported separately.
    """

    files: dict[str, bytes]
    shared_bytes: int


class DistilledSet:
    """Images by class with hard labels: what a method returns.

    Args:
        images: class id -> [n, K, S, S], uint8, or float in [0, 1] (rounded to uint8); K as `Task.channels`: 3, or 1 in
            a grey suite.
        notes: remarks for readers of the results; stored in the record.
        stored: for generative sets, what is stored instead of the images; None: the images themselves.
        draws: k: the images are a pool of k x IPC per class, of which each training epoch uses IPC. Above 1 only for
            generative sets: a pool of images would exceed the budget.
        soft_labels: class id -> [n, C] logits, one row per image, columns in the suite's label order; stored in half
            precision with the images. Only if `Method.own_labels` returns True.
        keep_float: students train on these float images (0 black, 1 white) without clipping or rounding. Only for imported
            sets. After `check`, `images` is a uint8 copy for viewing, and `floats` the float32 images.
    """

    def __init__(
        self,
        images: dict[str, torch.Tensor],
        *,
        notes: tuple[str, ...] = (),
        stored: Stored | None = None,
        draws: int = 1,
        soft_labels: dict[str, torch.Tensor] | None = None,
        keep_float: bool = False,
    ) -> None:
        if not isinstance(images, dict):
            raise ValueError(
                f"DistilledSet was given a {type(images).__name__}; expected a dict of class id -> images, such as "
                "DistilledSet({c.id: images for c in task.classes})"
            )
        self.images = images
        self.notes = notes
        self.stored = stored
        self.draws = draws
        self.soft_labels = soft_labels
        self.keep_float = keep_float
        self.floats: dict[str, torch.Tensor] | None = None

    def check(self, classes: tuple[ClassInfo, ...], ipc: int, side: int, channels: int = 3) -> DistilledSet:
        """Return the set as uint8 in class order, or raise an error that says what is wrong.

        Raises:
            ValueError: a class is missing or unknown, an image count, shape or type is wrong, a value is NaN or
                outside [0, 1], or soft labels are not one row of logits an image.
        """
        import torch

        if self.draws > 1 and self.stored is None:
            raise ValueError(f"draws = {self.draws} without `stored`: a pool of images would exceed the budget")
        ipc *= self.draws
        known = {c.id for c in classes}
        if wrong := [key for key in self.images if not isinstance(key, str)]:
            raise ValueError(
                f"the keys of a distilled set must be class ids (strings such as {min(known)!r}); found the "
                f"{type(wrong[0]).__name__} {wrong[0]!r}. Use c.id of `for c in task.classes`"
            )
        if unknown := sorted(set(self.images) - known):
            raise ValueError(f"the distilled set has unknown classes: {unknown[:5]}; the task has {sorted(known)[:5]}")
        checked, floats = {}, {}
        for c in classes:
            if c.id not in self.images:
                raise ValueError(f"the distilled set has no images for class {c.id!r}; expected {ipc}")
            image = torch.as_tensor(self.images[c.id])
            if image.ndim != 4 or tuple(image.shape[1:]) != (channels, side, side):
                raise ValueError(
                    f"class {c.id!r}: images have shape {list(image.shape)}, expected "
                    f"[{ipc}, {channels}, {side}, {side}] (count, {'RGB' if channels == 3 else 'grey'}, height, width)"
                )
            if len(image) != ipc:
                raise ValueError(f"class {c.id!r}: {len(image)} images, expected {ipc}")
            if self.keep_float:
                floats[c.id] = _to_float32(image, c.id)
                image = floats[c.id].clamp(0, 1)
            checked[c.id] = _to_uint8(image, c.id)
        if not (isinstance(self.notes, tuple | list) and all(isinstance(note, str) for note in self.notes)):
            raise ValueError(f"notes are {self.notes!r}; expected a tuple of strings")
        soft = None if self.soft_labels is None else {c.id: self._soft_labels(c.id, ipc) for c in classes}
        made = DistilledSet(checked, notes=tuple(self.notes), stored=self.stored, draws=self.draws, soft_labels=soft)
        made.keep_float, made.floats = self.keep_float, floats if self.keep_float else None
        return made

    def _soft_labels(self, class_id: str, num: int) -> torch.Tensor:
        import torch

        assert self.soft_labels is not None
        logits = torch.as_tensor(self.soft_labels.get(class_id, ()))
        if logits.ndim != 2 or len(logits) != num or not logits.is_floating_point():
            raise ValueError(
                f"class {class_id!r}: soft labels are {logits.dtype} {list(logits.shape)}, expected float [{num}, classes]"
            )
        return logits.detach().cpu()

    def duplicates(self) -> dict[str, list[int]]:
        """Return, per class, the positions of images that equal an earlier one of the class; classes without are left out."""
        found = {}
        for class_id, image in self.images.items():
            seen: set[bytes] = set()
            again = []
            for place, pixels in enumerate(image.numpy()):
                content = pixels.tobytes()
                if content in seen:
                    again.append(place)
                seen.add(content)
            if again:
                found[class_id] = again
        return found


def repeat_to(order: list[int], ipc: int) -> list[int]:
    """Return `ipc` positions from `order`: its head, or if it is shorter, repeated from the start.

    Long-tail suites need the repeats; the harness counts them as `duplicates` in the record.
    """
    return [order[i % len(order)] for i in range(ipc)]


def _to_float32(image: torch.Tensor, class_id: str) -> torch.Tensor:
    import torch

    image = image.detach().cpu()
    if not image.is_floating_point() or not torch.isfinite(image).all():
        raise ValueError(
            f"class {class_id!r}: images to keep as float are {image.dtype} or not finite; expected finite floats"
        )
    return image.float().contiguous()


def _to_uint8(image: torch.Tensor, class_id: str) -> torch.Tensor:
    import torch

    image = image.detach().cpu()
    if image.dtype == torch.uint8:
        return image.contiguous()
    if not image.is_floating_point():
        raise ValueError(f"class {class_id!r}: images are {image.dtype}, expected uint8, or float in [0, 1]")
    if not torch.isfinite(image).all():
        raise ValueError(f"class {class_id!r}: images contain NaN or infinite values")
    low, high = image.min().item(), image.max().item()
    if low < 0 or high > 1:
        raise ValueError(f"class {class_id!r}: float images span [{low:.3g}, {high:.3g}], expected [0, 1]")
    return (image * 255).round().to(torch.uint8)
