"""A given file of tensors: images [N, K, S, S], labels [N], and soft_labels [N, C] where it has them.

Read without running anything that the file contains: `torch.load(weights_only=True)`, `numpy.load(allow_pickle=False)`
or safetensors. Numbers are labels whose order must be known; see `harness.data.imported.class_order`.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.classes import ClassInfo
from harness.core.environment import free_memory
from harness.core.errors import UserError
from harness.core.text import byte_size, shorten
from harness.data.imported.base import ImportedSet, Rows, as_logits
from harness.data.imported.class_order import classes_of_numbers

if TYPE_CHECKING:
    import torch


LAYOUT = (
    "images [N, 3, S, S] ([N, 1, S, S] in a grey suite; uint8, or float in [0, 1]), labels [N] (whole numbers), and maybe "
    "soft_labels [N, C]"
)


IMAGENET = "0.485,0.456,0.406/0.229,0.224,0.225"
"""Mean and std of ImageNet, as they are given on the command line."""


GREY = "0.2861/0.3530"
"""Those of grey images, Fashion-MNIST's."""


class ImportedTensors(ImportedSet):
    """Tensors of one file, in memory.

    Raises:
        UserError: the file cannot be read safely, or a tensor is missing or has another shape, type or range.
    """

    def __init__(
        self,
        path: Path,
        classes: tuple[ClassInfo, ...],
        order: str | None,
        normalised: str | None,
        channels: int = 3,
    ) -> None:
        self.where, self.classes = str(path), classes
        found = _read(path)
        missing = [name for name in ("images", "labels") if name not in found]
        if missing:
            raise UserError(
                f"{path} has no {' and no '.join(missing)} (found: {', '.join(sorted(found)) or 'nothing'}); "
                f"expected {LAYOUT}."
            )
        self._by_number, self.order = classes_of_numbers(classes, order, self.where)
        self._images_N3SS, self.remarks = _checked_images(found["images"], self.where, normalised, channels)
        self._labels_N = self._checked_labels(found["labels"])
        self._soft = found.get("soft_labels")

    @cached_property
    def _rows_of(self) -> dict[str, list[int]]:
        """class id -> where its images stand in the file."""
        return {
            class_id: (self._labels_N == number).nonzero()[:, 0].tolist()
            for number, class_id in enumerate(self._by_number)
        }

    @property
    def num_per_class(self) -> dict[str, int]:
        return {c.id: len(self._rows_of[c.id]) for c in self.classes}

    @property
    def has_labels(self) -> bool:
        return self._soft is not None

    def _in_file(self, class_id: str, rows: Sequence[int]) -> list[int]:
        own = self._rows_of[class_id]
        return [own[row] for row in rows]

    def side(self, rows: Rows) -> int | None:
        return int(self._images_N3SS.shape[-1])

    def load(self, class_id: str, rows: Sequence[int], side: int) -> torch.Tensor:
        assert side == self._images_N3SS.shape[-1], "tensors keep their own size"
        return self._images_N3SS[self._in_file(class_id, rows)]

    def soft_labels(self, class_id: str, rows: Sequence[int]) -> torch.Tensor:
        return self._logits_NC[self._in_file(class_id, rows)]

    @cached_property
    def _logits_NC(self) -> torch.Tensor:
        """Return the soft labels as logits, columns in the suite's label order."""
        if self._soft is None:
            raise UserError(f"{self.where} has no soft_labels; leave out --labels own.")
        num, num_classes = len(self._labels_N), len(self.classes)
        soft = self._soft
        if tuple(soft.shape) != (num, num_classes) or not soft.is_floating_point():
            raise UserError(
                f"{self.where}: soft_labels are {soft.dtype} {list(soft.shape)}; expected float [{num}, {num_classes}], "
                "a row for each image and a column for each class of the suite."
            )
        place = {class_id: number for number, class_id in enumerate(self._by_number)}
        return as_logits(soft, f"{self.where}: soft_labels")[:, [place[c.id] for c in self.classes]]

    def fingerprint(self, rows: Rows, *, labels: bool) -> str:
        digest = hashlib.sha256(f"given tensors 1 {tuple(self._images_N3SS.shape[1:])}\n".encode())
        for c in self.classes:
            digest.update(f"{c.id}\n".encode())
            digest.update(self._images_N3SS[self._in_file(c.id, rows[c.id])].numpy().tobytes())
            if labels:
                digest.update(self.soft_labels(c.id, rows[c.id]).numpy().tobytes())
        return digest.hexdigest()

    def _checked_labels(self, labels: torch.Tensor) -> torch.Tensor:
        import torch

        num, last = len(self._images_N3SS), len(self.classes) - 1
        whole = labels.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
        if tuple(labels.shape) != (num,) or not whole:
            raise UserError(
                f"{self.where}: labels are {labels.dtype} {list(labels.shape)}; expected whole numbers [{num}], one for "
                "each image."
            )
        labels = labels.long()
        wrong = sorted({int(v) for v in labels if not 0 <= v <= last})
        if wrong:
            raise UserError(
                f"{self.where}: labels {wrong[:5]} are out of range; the suite has {last + 1} classes, 0 to {last}."
            )
        return labels


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by name, never running a pickle."""
    import numpy as np
    import torch

    try:
        content: Any
        if path.suffix.lower() == ".npz":
            _check_unpacked(path)
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                content = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in arrays.files}
        elif path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(str(path))
        else:
            with warnings.catch_warnings(action="ignore"):  # of sparse tensors, which are refused below
                content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: not read, because it holds more than tensors: opening it would run code of whoever made it. Save "
            f"only tensors: torch.save({{'images': ..., 'labels': ...}}, FILE). Expected {LAYOUT}."
        ) from None
    except Exception as error:  # numpy, zip and safetensors raise dozens of kinds on damaged files
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}. Expected {LAYOUT}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; expected a dict with {LAYOUT}.")
    return {str(name): _plain(value, name, path) for name, value in content.items() if isinstance(value, torch.Tensor)}


def _plain(tensor: torch.Tensor, name: Any, path: Path) -> torch.Tensor:
    """Return a tensor that holds its numbers, one after the other, and no more memory than they take."""
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu":
        raise UserError(
            f"{path}: {shorten(repr(name))} is a {str(tensor.layout).removeprefix('torch.')} tensor of {tensor.dtype} on "
            f"{tensor.device}; expected an ordinary tensor of numbers. Expected {LAYOUT}."
        )
    unpacked, stored = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if unpacked > stored:  # expanded: a few bytes that claim to be gigabytes
        _check_size(unpacked, path)
    return tensor.detach()


def _check_unpacked(path: Path) -> None:
    """Refuse an archive that would not fit in memory, before anything is unpacked.

    Raises:
        UserError: says how large it would be.
    """
    with zipfile.ZipFile(path) as archive:
        _check_size(sum(info.file_size for info in archive.infolist()), path)


def _check_size(num_bytes: int, path: Path) -> None:
    free = free_memory()
    if num_bytes > free / 2:
        raise UserError(
            f"{path}: would take {byte_size(num_bytes)} in memory, its file has {byte_size(path.stat().st_size)}; at most half "
            f"of the {byte_size(free)} that are free now are used. Export it as a folder of images."
        )


def _checked_images(
    images: torch.Tensor, where: str, normalised: str | None, channels: int
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Return the images as uint8 [N, K, S, S], and remarks; grey ones may come as [N, S, S]."""
    import torch

    shape = list(images.shape)
    if channels == 1 and images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.shape[1] != channels or shape[-1] != shape[-2] or 0 in shape:
        wanted = "[N, 3, S, S] (count, RGB, height, width; square)"
        if channels == 1:
            wanted = "[N, 1, S, S] or [N, S, S] (count, grey, height, width; square), because the suite has channels: 1"
        raise UserError(f"{where}: images have shape {shape}; expected {wanted}.")
    if images.dtype == torch.uint8:
        if normalised is not None:
            raise UserError(f"{where}: --normalised is for float images; these are uint8.")
        return images, ()
    if not images.is_floating_point():
        raise UserError(f"{where}: images are {images.dtype}; expected uint8, or float in [0, 1].")
    images = images.float()
    if not torch.isfinite(images).all():
        raise UserError(f"{where}: images contain NaN or infinite values.")
    low, high = float(images.min()), float(images.max())
    remarks: tuple[str, ...] = ()
    if normalised is not None:
        mean, std = _mean_std(normalised, channels)
        images = images * std + mean
        outside = float(((images < 0) | (images > 1)).float().mean())
        images = images.clamp(0, 1)
        if outside:
            remarks = (f"{100 * outside:.1f} % of the values lay outside [0, 1] once denormalised, and were clipped",)
    elif low < 0 or high > 1:
        cure = "divide by 255, or save them as uint8" if low >= 0 and high > 10 else (
            f"if they were normalised, give mean and std: --normalised MEAN/STD, such as {IMAGENET if channels == 3 else GREY}"
        )  # fmt: skip
        raise UserError(f"{where}: float images span [{low:.3g}, {high:.3g}]; expected [0, 1]: {cure}.")
    return (images * 255).round().to(torch.uint8), remarks


def _mean_std(text: str, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    try:
        mean, std = ([float(v) for v in part.split(",")] for part in text.split("/"))
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise ValueError
    except ValueError:
        wanted = f"three means and three standard deviations above 0, as {IMAGENET}"
        if channels == 1:
            wanted = f"a mean and a standard deviation above 0, because the suite is grey, as {GREY}"
        raise UserError(f"--normalised {text!r}: expected {wanted}.") from None
    return torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)
