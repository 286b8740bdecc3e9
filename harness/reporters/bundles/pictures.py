"""Pictures of a bundle: made small when they are packed, and decoded with limits when they come from somebody else.

In: PNG files. Out: PNG bytes that Pillow wrote here, with 256 colours at most. No other format is decoded, and nothing of the
sender's file but its pixels (and the title that our figures keep) is passed on.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, PngImagePlugin

from harness.core.paths import regular_files
from harness.core.run_folder import RunFolder
from harness.core.text import shorten, without_controls

PICTURES_BYTES = 1_200_000
"""For all pictures of a bundle, unless its writer says otherwise: two thirds for contact sheets, one for figures."""


MOST_BYTES = 60_000
"""For one picture."""


LEAST = 24
"""Pixels of a side."""


MOST_PIXELS = 40_000_000
"""Of a picture that is decoded."""


_SHEET = re.compile(r"(?P<set>.+_ipc\d+)_seed(?P<seed>\d+)")


_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)


def packed_pictures(run: RunFolder, total: int = PICTURES_BYTES) -> dict[str, bytes]:
    """Return the contact sheets of a run, the first seed of each method and IPC, and its figures, made small.

    Args:
        run: whose pictures.
        total: bytes that all may have together; a picture with a side below LEAST pixels is made no smaller for it.
    """
    sheets: dict[str, tuple[int, Path]] = {}
    for path in regular_files(run.images, "*.png"):
        if match := _SHEET.fullmatch(path.stem):
            sheets[match["set"]] = min(sheets.get(match["set"], (10**9, path)), (int(match["seed"]), path))
    figures = regular_files(run.figures, "*.png")
    chosen = {f"images/{path.name}": path for _, path in sheets.values()}
    packed = _packed(chosen, total * 2 // 3)
    packed |= _packed({f"figures/{path.name}": path for path in figures}, total // 3)
    return dict(sorted(packed.items()))


def _packed(paths: Mapping[str, Path], total: int) -> dict[str, bytes]:
    most = min(MOST_BYTES, total // max(1, len(paths)))
    small = {name: safe_png(path.read_bytes(), most) for name, path in paths.items()}
    return {name: content for name, content in small.items() if content}


def safe_png(content: bytes, most_bytes: int | None = None) -> bytes:
    """Return a PNG of the same pixels, written here; nothing for what is no PNG or has too many pixels.

    Args:
        content: a file of anybody.
        most_bytes: make it smaller until it has no more, and use 256 colours; None: keep it as it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                if image.width * image.height > MOST_PIXELS:
                    return b""
                title = shorten(without_controls(str(image.info.get("Title") or "")), 300)
                mode = "L" if image.mode in ("1", "L", "LA", "I;16") else "RGB"
                pixels = image.convert(mode) if image.mode != "P" or most_bytes else image.convert("RGB")
    except _UNREADABLE:
        return b""
    if most_bytes is None:
        return _png(pixels, title)
    while True:
        found = _png(_few_colours(pixels), title)
        if len(found) <= most_bytes or min(pixels.size) < LEAST:
            return found
        scale = min(0.9, 0.95 * (most_bytes / len(found)) ** 0.5)
        size = max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale))
        pixels = pixels.resize(size, Image.Resampling.LANCZOS)


def _few_colours(image: Image.Image) -> Image.Image:
    """Return a picture of 256 colours, or in grey where it has no other."""
    if image.mode == "L":
        return image
    red, green, blue = image.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        return red
    return image.quantize(256, dither=Image.Dither.NONE)


def _png(image: Image.Image, title: str) -> bytes:
    buffer, info = io.BytesIO(), PngImagePlugin.PngInfo()
    if title:
        info.add_itxt("Title", title)
    image.save(buffer, format="PNG", optimize=True, pnginfo=info)
    return buffer.getvalue()
