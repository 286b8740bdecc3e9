"""Soft labels that are kept with a distilled set: one row of logits for each image, in half precision.

In: logits by class. Out: soft_labels.safetensors beside the class folders, and the rows back in the order of the images.
The file names the classes of its columns, so that labels of another order can be told. Shapes: n images of one class, N
in all, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.classes import ClassInfo
from harness.core.errors import UserError

if TYPE_CHECKING:
    import torch


LABELS_FILE = "soft_labels.safetensors"


BYTES_A_NUMBER = 2
"""Half precision."""


def save_labels(folder: Path, labels: Mapping[str, torch.Tensor], classes: Sequence[ClassInfo]) -> None:
    """Write the soft labels of a set.

    Args:
        folder: of the set.
        labels: class id -> [n, C] logits, columns in the order of `classes`.
        classes: all classes of the suite, in label order.

    Raises:
        ValueError: there is not one column a class, or a value is NaN or beyond what half precision holds (65,504).
    """
    import torch
    from safetensors.torch import save_file

    half = {}
    for class_id, logits in labels.items():
        if logits.shape[1] != len(classes):
            raise ValueError(
                f"class {class_id!r}: soft labels have {logits.shape[1]} columns, expected one per class "
                f"({len(classes)})"
            )
        half[class_id] = logits.detach().cpu().to(torch.float16).contiguous()
        if not torch.isfinite(half[class_id]).all():
            raise ValueError(f"class {class_id!r}: soft labels are NaN or beyond half precision (65,504)")
    save_file(half, str(folder / LABELS_FILE), metadata={"classes": json.dumps([c.id for c in classes])})


def load_labels(folder: Path, classes: Sequence[ClassInfo], *, ipc: int | None = None) -> torch.Tensor:
    """Return the soft labels of a set as float16 [N, C], class after class in the order of `classes`, columns likewise.

    Args:
        ipc: only the first so many rows of every class; None: all.

    Raises:
        UserError: the file is missing or no such file, or has no labels of a class.
    """
    import torch

    labels, columns = read_labels(folder / LABELS_FILE)
    ids = [c.id for c in classes]
    if columns is None or sorted(columns) != sorted(ids) or set(ids) - set(labels):
        raise UserError(f"{folder / LABELS_FILE} does not contain soft labels for the suite's {len(ids)} classes")
    rows = torch.cat([labels[c][:ipc] for c in ids])
    return rows[:, [columns.index(c) for c in ids]]


def read_labels(path: Path) -> tuple[dict[str, torch.Tensor], list[str] | None]:
    """Return what is in a file: class id -> [n, C], and the classes of the columns, None where it does not tell.

    Raises:
        UserError: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            columns = json.loads((file.metadata() or {}).get("classes", "null"))
            return {name: file.get_tensor(name) for name in file.keys()}, columns  # noqa: SIM118 - it is no dict
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"soft labels {path} cannot be read: {error}") from None
