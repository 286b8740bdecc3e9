"""Decode image files into square RGB images.

In: paths, a side, a crop. Out: uint8, or one error that names what is broken.

Choices, the same for every suite:
- EXIF orientation is ignored, as the usual ImageNet loaders do; published numbers were made that way.
- Transparency is composited onto white. (torchvision drops the alpha channel, which uncovers arbitrary hidden colours;
  for opaque images both agree.)
- 16-bit greyscale is scaled to 8 bits (v / 257), where Pillow's own conversion clips at 255.
- Of an animation, the first frame.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress
from harness.data.split import Crop, short_side

if TYPE_CHECKING:
    import torch
    from PIL import Image

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF")
"""What a file may really be, whatever its name says; no format that Pillow hands to another program."""

MAX_NAMED = 10
"""Broken files named in one message; reading stops there."""

_CHUNK = 256


def read_files(paths: Sequence[Path], *, size: int, crop: Crop, report: ProgressCallback = no_progress) -> torch.Tensor:
    """Decode files in parallel; as many threads as torch may use, so that a job keeps to its CPUs.

    Returns:
        uint8 [len(paths), 3, size, size], in the order of `paths` whatever the number of threads.

    Raises:
        UserError: files are missing, empty, truncated or no images; names up to ten of them.
    """
    import numpy as np
    import torch

    images = torch.empty((len(paths), 3, size, size), dtype=torch.uint8)

    def one(position: int) -> str | None:
        try:
            image = square(_open_rgb(paths[position]), size, crop)
        except _DECODE_ERRORS as error:
            return f"{paths[position]}: {_reason(paths[position], error)}"
        images[position] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        return None

    broken: list[str] = []
    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        for start in range(0, len(paths), _CHUNK):
            stop = min(start + _CHUNK, len(paths))
            broken += [reason for reason in pool.map(one, range(start, stop)) if reason]
            if len(broken) >= MAX_NAMED:
                break
            report("reading", stop, len(paths), "image")
    if broken:
        more = "" if len(broken) < MAX_NAMED else "\n  reading stopped here; there may be more"
        listed = "\n  ".join(broken[:MAX_NAMED])
        raise UserError(f"unreadable images; replace or remove these files:\n  {listed}{more}")
    return images


def square(image: Image.Image, size: int, crop: Crop) -> Image.Image:
    """Return a [size, size] square cut from the middle of an image.

    Args:
        image: any mode that Pillow resizes smoothly (RGB).
        size: side of the result, pixels.
        crop: "adm": halve with a box filter while the short side is at least 2 * size, then bicubic to a short side of
            `size`; what Minimax Diffusion fine-tunes on (golden/minimax_loss.json, image_transform; first in ADM,
            Dhariwal and Nichol, 2021). "resize": bilinear to a short side of `size`; what students see
            (golden/protocol.json, train_transform and test_transform). "margin": bilinear to a short side of
            size // 7 * 8, so that the crop leaves a margin out; test images of rded (golden/rded.json, test_transform).
            Rounding is as in the respective code.

    Raises:
        ValueError: another crop.
    """
    from PIL import Image

    if crop == "adm":
        while min(image.size) >= 2 * size:
            image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
        scale = size / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        left, top = (image.width - size) // 2, (image.height - size) // 2
    elif crop in ("resize", "margin"):
        short, target = min(image.size), short_side(size, crop)
        if short != target:
            shape = (image.width * target // short, image.height * target // short)
            image = image.resize(shape, Image.Resampling.BILINEAR)
        left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    else:
        raise ValueError(f"unknown crop {crop!r}; use 'adm', 'resize' or 'margin'")
    return image.crop((left, top, left + size, top + size))


def size_of_file(path: Path) -> tuple[int, int]:
    """Return width and height of an image in pixels, from its header; 0 and 0 where the file is no image."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except (*_DECODE_ERRORS, Image.DecompressionBombError):
        return 0, 0


def short_side_of_file(path: Path) -> int:
    """Return the shorter side of an image in pixels, from its header; 0 where the file is no image."""
    return min(size_of_file(path))


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode as opaque 8-bit RGB; see the module's docstring for the choices.

    Raises:
        ValueError: 32-bit integer or float pixels, whose range nothing tells.
    """
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in {"PNG", "PPM"}):
        return _from_16_bit(image).convert("RGB")
    if image.mode in {"I", "F"}:
        raise ValueError(f"{image.mode} pixels (32 bits) have an unknown value range; convert the file to 8 or 16 bits")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    return Image.fromarray(np.clip(np.rint(values / 257), 0, 255).astype(np.uint8))


def _open_rgb(path: Path) -> Image.Image:
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            return to_rgb(image)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None


_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error, zlib.error)
"""What Pillow's decoders raise on damaged files."""


def _reason(path: Path, error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if path.exists() and path.stat().st_size == 0:
        return "empty file (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    return str(error) or type(error).__name__
