"""A distilled set as an ordinary image folder, CLASS/00000.png, that any other tool can read; and a sheet to look at.

In: uint8 images by class. Out: files with equal bytes for equal images (under one Pillow build), and tensors back.
Shapes: n images of one class, N in all, K channels (3, or 1 of a grey suite), S side in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.core.io import replaced
from harness.data.channels import InChannels
from harness.data.decode import square
from harness.data.sets.floats import FLOATS_FILE, load_floats
from harness.data.sources.image_folder import EXTENSIONS, FolderReader
from harness.data.split import Split

if TYPE_CHECKING:
    import torch
    from PIL import Image, ImageFont


COMPRESS_LEVEL = 6
"""zlib level of the PNGs; part of the bytes, so of `storage_bytes`."""


MIN_TILE = 64
"""Contact sheets enlarge smaller images by whole numbers to at least this many pixels."""


MOST_PIXELS = 3_000_000
"""Of all images on a contact sheet; beyond, each is made smaller: 2,000 images of 224 pixels would be a PNG of 200 MB."""


GREY = "#666666"


def save_distilled(folder: Path, images: Mapping[str, torch.Tensor], classes: Sequence[ClassInfo]) -> None:
    """Write CLASS/00000.png, CLASS/00001.png, ... below `folder`, which is made if needed.

    Args:
        folder: must not hold one of the class folders yet.
        images: class id -> uint8 [n, K, S, S]; of one channel they become PNGs of mode L.
        classes: the classes to write.

    Raises:
        ValueError: a class has no images, or its tensor is not uint8 [n, K, S, S] with K = 3 or 1.
        FileExistsError: a class folder is there already: older images would mix with these.
    """
    import torch

    jobs: list[tuple[Path, torch.Tensor]] = []
    for c in classes:
        image = images.get(c.id)
        if (
            image is None
            or image.dtype != torch.uint8
            or image.ndim != 4
            or image.shape[1] not in (1, 3)
            or not len(image)
        ):
            found = "none" if image is None else f"{image.dtype} {list(image.shape)}"
            raise ValueError(f"class {c.id!r}: images to save must be uint8 [n, K, S, S] with n > 0, found {found}")
        jobs += [(folder / c.id / f"{i:05d}.png", one) for i, one in enumerate(image.cpu())]
    for c in classes:
        (folder / c.id).mkdir(parents=True, exist_ok=False)
    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        for _ in pool.map(_save_png, jobs):
            pass


def load_distilled(
    folder: Path,
    classes: Sequence[ClassInfo],
    size: int,
    *,
    ipc: int | None = None,
    channels: int = 3,
    exact: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read a distilled set, as a student sees it: short side to `size` (bilinear), centre crop; nothing where it fits.

    Args:
        folder: as `save_distilled` wrote it.
        classes: the classes to read, with their labels.
        size: side of the result, pixels.
        ipc: only the first so many images of every class (the smaller set of a nested method); None: all.
        channels: K of the result, 3 or 1.
        exact: of a set that keeps float images, return these and not the copy to look at.

    Returns:
        images uint8 [N, K, size, size] and labels int64 [N], class after class in the order of `classes`. Float images are
        float32 on the same scale: 255 is white.

    Raises:
        UserError: a class folder is missing or empty or has fewer than `ipc` images, or an image cannot be read.
    """
    store = FolderReader(folder)
    ids = [c.id for c in classes]
    problems = store.problems(ids)
    if problems:
        raise UserError("distilled set is incomplete:\n  " + "\n  ".join(problems))
    split = Split(InChannels(store, channels), ids, labels={c.id: c.label for c in classes})
    if ipc is not None:
        short = [c for c, num in split.num_per_class.items() if num < ipc]
        if short:
            raise UserError(f"distilled set {folder} has fewer than {ipc} images of class {', '.join(short[:10])}")
        split = split.select({c: range(ipc) for c in ids})
    images, labels = split.tensors(size=size, crop="resize")
    if exact and (folder / FLOATS_FILE).is_file():
        images = load_floats(folder, classes, size, ipc=ipc)
    return images, labels


def seen_by_students(images: Mapping[str, torch.Tensor], classes: Sequence[ClassInfo], size: int) -> torch.Tensor:
    """Return a set in memory as `load_distilled` would read it back: uint8 [N, K, size, size], class after class."""
    import numpy as np
    import torch

    stacked = torch.cat([images[c.id] for c in classes])
    if stacked.shape[-1] == size:
        return stacked
    squares = [np.array(square(_to_image(one), size, "resize")) for one in stacked]
    return torch.from_numpy(np.stack(squares).reshape(len(squares), size, size, -1)).permute(0, 3, 1, 2).contiguous()


def storage_bytes(folder: Path) -> int:
    """Return the size of the images in the class folders, bytes: what must be kept to train a student from them."""
    return sum(p.stat().st_size for p in folder.glob("*/*") if p.suffix.lower() in EXTENSIONS and p.is_file())


def contact_sheet(
    images: Mapping[str, torch.Tensor],
    classes: Sequence[ClassInfo],
    path: Path,
    *,
    per_row: int = 10,
    max_classes: int = 100,
) -> None:
    """Write a PNG with one labelled row per class, enlarging tiny images by a whole number (nearest neighbour).

    Where the images have more than MOST_PIXELS together, each is made smaller.

    Args:
        images: class id -> uint8 [n, K, S, S]; a class without images gets an empty row.
        classes: rows, from above.
        path: the PNG.
        per_row: the first so many images of each class.
        max_classes: rows at most; a last line counts the classes left out.

    Raises:
        ValueError: there is nothing to show, or `per_row` or `max_classes` is below 1.
    """
    from PIL import Image, ImageDraw, ImageFont

    shown = list(classes)[:max_classes]
    rows: list[Any] = [images[c.id][:per_row] if c.id in images else () for c in shown]
    if per_row < 1 or not any(len(row) for row in rows):
        raise ValueError("a contact sheet needs a class with images, and per_row and max_classes of at least 1")
    side = next(int(row[0].shape[-1]) for row in rows if len(row))
    tile, gap, margin = _tile(side, sum(map(len, rows))), 4, 10
    font = ImageFont.load_default(size=14)
    label_width = margin + min(240, max(round(font.getlength(text)) for c in shown for text in _label(c)))
    left_out = len(classes) - len(shown)
    width = 2 * margin + label_width + max(len(row) for row in rows) * (tile + gap)
    height = 2 * margin + len(shown) * (tile + gap) + (24 if left_out else 0)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (c, row) in enumerate(zip(shown, rows, strict=True)):
        y, lines = margin + number * (tile + gap), _label(c)
        for text, shift, fill in zip(lines, (-9 * (len(lines) - 1), 9), ("black", GREY), strict=False):
            draw.text((margin, y + tile / 2 + shift), _fit(text, font, label_width - margin), fill, font, "lm")
        for column, one in enumerate(row):
            how = Image.Resampling.NEAREST if tile >= one.shape[-1] else Image.Resampling.LANCZOS
            thumb = _to_image(one).resize((tile, tile), how)
            sheet.paste(thumb, (margin + label_width + column * (tile + gap), y))
    if left_out:
        draw.text((margin, height - margin), f"and {left_out} more classes", GREY, font, "ls")
    with replaced(path) as part:
        sheet.save(part, format="PNG", compress_level=COMPRESS_LEVEL)


def _tile(side: int, number: int) -> int:
    """Return the side of one of so many images on a contact sheet, pixels."""
    most = int((MOST_PIXELS / number) ** 0.5)
    return side * min(-(-MIN_TILE // side), most // side) if side <= most else most


def _save_png(job: tuple[Path, torch.Tensor]) -> None:
    path, image = job
    _to_image(image).save(path, format="PNG", compress_level=COMPRESS_LEVEL)


def _to_image(image: torch.Tensor) -> Image.Image:
    from PIL import Image

    pixels = image.cpu()[0] if len(image) == 1 else image.cpu().permute(1, 2, 0)
    return Image.fromarray(pixels.contiguous().numpy())


def _label(c: ClassInfo) -> list[str]:
    return [c.name] if c.name == c.id else [c.name, c.id]


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
