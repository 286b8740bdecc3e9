"""Float images of a given set that were neither clipped nor rounded: one file beside the class folders.

In: float32 images by class, 0 black and 1 white. Out: images.safetensors, and the images back. Shapes: n images of one
class, N in all, K channels, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.classes import ClassInfo
from harness.core.errors import UserError

if TYPE_CHECKING:
    import torch


FLOATS_FILE = "images.safetensors"


def save_floats(folder: Path, floats: Mapping[str, torch.Tensor]) -> None:
    """Write class id -> float32 [n, K, S, S]."""
    from safetensors.torch import save_file

    save_file({class_id: images.contiguous() for class_id, images in floats.items()}, str(folder / FLOATS_FILE))


def load_floats(folder: Path, classes: Sequence[ClassInfo], size: int, *, ipc: int | None = None) -> torch.Tensor:
    """Return the images as float32 [N, K, size, size], 255 white, class after class; of another size resized (bilinear).

    Raises:
        UserError: the file is damaged or lacks a class.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch.nn import functional

    try:
        found = load_file(str(folder / FLOATS_FILE))
        images = torch.cat([found[c.id][:ipc] for c in classes])
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise UserError(f"{folder / FLOATS_FILE} cannot be read: {error}. Run the same command with --fresh.") from None
    if images.shape[-1] != size:
        images = functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    return images * 255
