"""Pictures as data URIs: the contact sheets and figures of a run, made smaller where a page could not carry them.

In: folders of PNG files. Out: pictures with an alternative text, as WebP where that is smaller: figures keep every pixel and 256
colours, photographs lose detail. A picture that cannot be read says so; links are left out, and an SVG, which is a program as
much as a picture, is only named.
"""

from __future__ import annotations

import base64
import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from harness.core.paths import regular_files
from harness.core.text import shorten, times, without_controls

SHEETS_BYTES = 7_000_000
"""For all contact sheets together, before base64 adds a third: a page should stay under 15 MB."""


MOST_PIXELS = 100_000_000
"""Of a picture that is read: three bytes each in memory."""


FIGURES_BYTES = 2_500_000


MOST_BYTES = 400_000
"""For one picture."""


FEW_BYTES = 4000
"""A PNG of so many stays as it is."""


SHEET_QUALITY = 40
"""Of a contact sheet as WebP. Seventeen sheets of digits at IPC 10 take 1.44 MB as PNG, 0.61 MB at quality 70 and 0.45 MB at 40,
which looks the same beside the PNG."""


WIDTH, LEAST_WIDTH = 1600, 160
"""Pixels: of a picture that is made smaller at first, and below which it is no longer shrunk to save bytes."""


TALLEST = 1.5
"""Height of a picture by its width, at most: of a sheet of a hundred classes the page shows the first ones."""


FIRST_FIGURES = ("accuracy_ipc", "accuracy_time", "accuracy_device_seconds", "accuracy_bytes")
"""Names that figures begin with, in the order in which a reader asks for them."""


MOST_SHEETS = 60
"""Of more sheets the page shows the first seed of each method and IPC: smaller ones would show nothing."""


WEBP_SHARE = 0.3
"""Bytes of a picture as WebP by those of the same as PNG, guessed high, so that one try mostly does."""


COLOURS = 256
"""Of a figure: lines, text and their soft edges need no more, and the file is a third smaller than with all."""


_SHEET = re.compile(r"(?P<method>.+)_ipc(?P<ipc>\d+)_seed(?P<seed>\d+)")


@dataclass(frozen=True)
class Picture:
    """A picture on the page.

    Attributes:
        title: what stands below it.
        alt: what a screen reader says in its place.
        uri: a data URI; empty where the file cannot be shown.
        width, height: pixels that the browser keeps free for it; None for a file that is only named.
        note: that it was made smaller, or why it is missing.
        ipc: of a contact sheet; None for any other.
    """

    title: str
    alt: str
    uri: str
    width: int | None = None
    height: int | None = None
    note: str = ""
    ipc: int | None = None


def read_sheets(folder: Path, titles: dict[str, str]) -> list[Picture]:
    """Return the contact sheets by method, IPC and seed.

    Args:
        folder: METHOD_ipcN_seedS.png files; it need not exist.
        titles: method -> its title.
    """
    found = []
    for path in regular_files(folder, "*.png"):
        if match := _SHEET.fullmatch(path.stem):
            found.append((match["method"], int(match["ipc"]), int(match["seed"]), path))
    every, found = len(found), _first_seeds(sorted(found))
    limit, several = _limit(SHEETS_BYTES, len(found)), len({seed for _, _, seed, _ in found}) > 1

    def read(one: tuple[str, int, int, Path]) -> Picture:
        method, ipc, seed, path = one
        name = titles.get(method, method)
        alt = f"Distilled set of {name}, IPC {ipc}, distillation seed {seed}: a row of images for each class"
        title = f"{name}, distillation seed {seed}" if several else name
        return replace(_read_png(path, title, alt, limit, TALLEST), ipc=ipc)

    # Pillow works outside the interpreter's lock; few threads, for a sheet of a hundred classes takes 300 MB.
    with _large_pictures_allowed(), ThreadPoolExecutor(max_workers=4) as pool:
        shown = list(pool.map(read, found))
    if every > len(found):
        title = f"{times(every - len(found), 'more sheet')}, of further distillation seeds"
        shown.append(Picture(title, "", "", note=f"in {folder.name}/ of this run"))
    return shown


def by_ipc(sheets: list[Picture]) -> list[tuple[int | None, list[Picture]]]:
    """Return the sheets of each IPC, which are equally high in one suite; what has none comes last."""
    ipcs = sorted({one.ipc for one in sheets if one.ipc is not None})
    groups = [(ipc, [one for one in sheets if one.ipc == ipc]) for ipc in [*ipcs, None]]
    return [(ipc, own) for ipc, own in groups if own]


def _first_seeds(found: list[tuple[str, int, int, Path]]) -> list[tuple[str, int, int, Path]]:
    """Return of more than MOST_SHEETS sheets the first seed of each method and IPC."""
    if len(found) <= MOST_SHEETS:
        return found
    return list({(method, ipc): (method, ipc, seed, path) for method, ipc, seed, path in reversed(found)}.values())[
        ::-1
    ]


def read_figures(folder: Path) -> list[Picture]:
    """Return the figures, FIRST_FIGURES first, then by name; of NAME.svg and NAME.png the PNG."""
    files = {path.stem: path for path in reversed(regular_files(folder, "*.png", "*.svg"))}
    limit = _limit(FIGURES_BYTES, len(files))
    with _large_pictures_allowed():
        return [_read_figure(files[stem], limit) for stem in sorted(files, key=_figure_order)]


def _figure_order(stem: str) -> tuple[int, str]:
    return next((i for i, name in enumerate(FIRST_FIGURES) if stem.startswith(name)), len(FIRST_FIGURES)), stem


@contextmanager
def _large_pictures_allowed() -> Iterator[None]:
    """Keep Pillow from warning of large pictures: sheets are large, and of MOST_PIXELS we say so ourselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _read_figure(path: Path, limit: int) -> Picture:
    title = _title(path)
    alt = f"Figure: {title}; the tables hold its numbers"
    if path.suffix == ".png":
        return _read_png(path, title, alt, limit)
    return Picture(
        title, alt, "", note=f"SVG files are not embedded; see {path.parent.name}/{without_controls(path.name)}"
    )


def _title(path: Path) -> str:
    """Return the title that a PNG keeps, as `harness.reporters.figures` writes it, else the name of the file as words."""
    if path.suffix == ".png":
        with (
            contextlib.suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError),
            Image.open(path, formats=("PNG",)) as image,
        ):
            if kept := image.info.get("Title"):
                return shorten(without_controls(str(kept)), 300)
    return without_controls(path.stem).replace("_", " ").capitalize()


def _limit(total: int, number: int) -> int:
    return min(MOST_BYTES, total // max(1, number))


def _read_png(path: Path, title: str, alt: str, limit: int, tallest: float | None = None) -> Picture:
    """Return a picture of at most `limit` bytes where that can be.

    Args:
        tallest: height by width, at most; None for a figure, which is shown whole.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:  # a name may lie: no format that runs another program
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"{width:,} × {height:,} pixels are too many")
            data = path.read_bytes()
            if width <= WIDTH and len(data) <= min(limit, FEW_BYTES):
                return Picture(title, alt, _uri("png", data), width, height)
            if width <= WIDTH:
                packed = _packed(image, exact=tallest is None)
                if min(len(packed), len(data)) <= limit:
                    uri = _uri("webp", packed) if len(packed) < len(data) else _uri("png", data)
                    return Picture(title, alt, uri, width, height)
            tall = tallest is not None and height > tallest * width
            shown = image.crop((0, 0, width, round(tallest * width))) if tall and tallest else image
            scale = min(1.0, (limit / (WEBP_SHARE * len(data) * shown.height / height)) ** 0.5)
            data, size = _shrink(shown, limit, min(WIDTH, round(width * scale)))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return Picture(title, alt, "", note=f"cannot be shown: {error}")
    part = "top part only, " if tall else ""
    note = f"{part}reduced from {width} × {height} pixels; original: {path.parent.name}/{path.name}"
    return Picture(title, alt, _uri("webp", data), *size, note=note)


def _packed(image: Image.Image, *, exact: bool) -> bytes:
    """Return a WebP of the same size in pixels: of few colours without loss, or as a photograph."""
    buffer, flat = io.BytesIO(), _flat(image)
    if exact:
        few = flat.quantize(COLOURS, method=_method(flat), dither=Image.Dither.NONE).convert(flat.mode)
        few.save(buffer, format="WEBP", lossless=True, quality=80, method=4)
    else:
        flat.save(buffer, format="WEBP", quality=SHEET_QUALITY, method=6)
    return buffer.getvalue()


def _method(image: Image.Image) -> Image.Quantize:
    """Return how colours are chosen; Pillow knows one way only for pictures that are partly clear."""
    return Image.Quantize.FASTOCTREE if image.mode == "RGBA" else Image.Quantize.MEDIANCUT


def _flat(image: Image.Image) -> Image.Image:
    """Return a picture as RGB, or as RGBA where parts of it are clear."""
    clear = "A" in image.getbands() or "transparency" in image.info
    rgba = image.convert("RGBA") if clear else image.convert("RGB")
    if clear and rgba.getchannel("A").getextrema() == (255, 255):
        return rgba.convert("RGB")
    return rgba


def _shrink(image: Image.Image, limit: int, width: int) -> tuple[bytes, tuple[int, int]]:
    """Return a WebP of at most `limit` bytes and `width` pixels, or of the least width, and its size."""
    width = max(LEAST_WIDTH, width)
    small = _flat(image)
    while True:
        small.thumbnail((width, 10 * WIDTH), reducing_gap=2.0)
        buffer = io.BytesIO()
        small.save(buffer, format="WEBP", quality=80, method=2)
        if buffer.tell() <= limit or width <= LEAST_WIDTH:
            return buffer.getvalue(), small.size
        # Bytes go with the area; a tenth more than the excess, so that few rounds are needed.
        width = max(LEAST_WIDTH, int(small.width * min(0.9, 0.95 * (limit / buffer.tell()) ** 0.5)))


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
