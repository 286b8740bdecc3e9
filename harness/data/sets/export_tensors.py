"""Write a distilled set in the files that authors' own code reads: DC, MTT, DD-Ranking and SRe2L.

In: the PNG files of a set. Out: tensors, or folders, as `harness evaluate` opens them again. Images are float32 in [0, 1] and
not normalised: each code base has its own numbers. Shapes: N images, K channels, S side.
"""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

from harness.core.errors import UserError
from harness.data.sets.export_set import ExportedSet

if TYPE_CHECKING:
    import torch


def write_dc(given: ExportedSet, folder: Path) -> None:
    """Write res.pt: {'data': [[images, labels]], 'accs_all_exps': {}}, the file of DC, DSA and DM."""
    import torch

    images, labels = _tensors(given)
    torch.save({"data": [[images, labels]], "accs_all_exps": {}}, folder / "res.pt")


def write_mtt(given: ExportedSet, folder: Path) -> None:
    """Write images_best.pt and labels_best.pt, the files of MTT, TESLA and DATM; labels are the soft ones, if there are any."""
    _write_pair(given, folder, "_best")


def write_ddranking(given: ExportedSet, folder: Path) -> None:
    """Write images.pt and labels.pt, the files of DD-Ranking; labels are the soft ones, if there are any."""
    _write_pair(given, folder, "")


def write_sre2l(given: ExportedSet, folder: Path) -> None:
    """Write new000/class000_id000.png, ..., numbered by label, the folders of SRe2L, which writes JPEG."""
    for c, number, path in given.items():
        own = folder / f"new{c.label:03d}"
        own.mkdir(exist_ok=True)
        copyfile(path, own / f"class{c.label:03d}_id{number:03d}.png")


def _write_pair(given: ExportedSet, folder: Path, ending: str) -> None:
    import torch

    images, labels = _tensors(given)
    if given.labels is not None:
        labels = torch.cat([given.labels[c.id] for c in given.classes]).float()
    torch.save(images, folder / f"images{ending}.pt")
    torch.save(labels, folder / f"labels{ending}.pt")


def _tensors(given: ExportedSet) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images float32 [N, K, S, S] in [0, 1] and labels int64 [N], class after class.

    Raises:
        UserError: the images are not of one size.
    """
    import numpy as np
    import torch
    from PIL import Image

    images, labels = [], []
    for c, _, path in given.items():
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(image))
        images.append(pixels.permute(2, 0, 1) if pixels.ndim == 3 else pixels[None])
        labels.append(c.label)
    if len({tuple(image.shape) for image in images}) > 1:
        raise UserError("the images of this set have different sizes; --format imagefolder keeps them unchanged.")
    return torch.stack(images).float() / 255, torch.tensor(labels)
