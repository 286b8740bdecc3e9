"""The layouts of files in which authors publish sets: which tensor is the images, and which the labels.

In: what `read_content` returned. Out: one or several sets of images with labels. docs/bring_your_own.md lists the layouts
for people. Shapes: N images, C classes. Sources: main.py of VICO-UoE/DatasetCondensation@53f63a6; distill.py of
GeorgeCazenavette/mtt-distillation@50dccea, justincui03/tesla@488842e and NUS-HPC-AI-Lab/DATM@97ae510; demo_soft.py of
NUS-HPC-AI-Lab/DD-Ranking@b8b0966.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserError
from harness.data.imported.read import read_content

if TYPE_CHECKING:
    import torch


IMAGES = ("images", "image_syn", "images_syn", "syn_images", "x_train", "image", "x", "imgs")
LABELS = ("labels", "label_syn", "labels_syn", "syn_labels", "y_train", "label", "y", "targets")
SOFT = ("soft_labels",)
"""Names of tensors, the first that is there counts; capital letters do not matter."""


PAIRS = (("images_best", "labels_best", "lr_best"), ("images", "labels", "lr"))
"""Stems of files that stand together in a folder: images, labels, and a learning rate that was learned."""


EXPECTED = "expected images with labels in one of the layouts in `harness evaluate --help`"


@dataclass(frozen=True)
class RawSet:
    """Tensors of one set as they were published.

    Attributes:
        images: any type; [N, K, S, S], [N, S, S, K] or [N, S, S].
        labels: [N], [N, 1] or [N, C]; None: there are none.
        soft: soft labels [N, C]; None: none apart from the labels.
        remarks: what a user should know, one line each.
    """

    images: torch.Tensor
    labels: torch.Tensor | None
    soft: torch.Tensor | None = None
    remarks: tuple[str, ...] = ()


def read_sets(path: Path, labels_path: Path | None = None) -> tuple[RawSet, ...]:
    """Return the sets of a file, or of a file of images and one of labels.

    Raises:
        UserError: it cannot be read safely, or is in no known layout.
    """
    if labels_path is None:
        return _sets(read_content(path), path)
    one, other = _only_tensor(read_content(path), path), _only_tensor(read_content(labels_path), labels_path)
    if one.ndim < 3 <= other.ndim:
        path, one, other = labels_path, other, one
    return (RawSet(one, other, remarks=_learned_rate(path)),)


def pair_in(folder: Path) -> tuple[Path, Path | None] | None:
    """Return the files of images and of labels that stand in a folder under the names of MTT, DATM or DD-Ranking.

    None: there is no file of images. The labels are None where there are none.
    """
    for images, labels, _ in PAIRS:
        if (found := folder / f"{images}.pt").is_file():
            own = folder / f"{labels}.pt"
            return found, own if own.is_file() else None
    return None


def _sets(content: Any, path: Path) -> tuple[RawSet, ...]:
    import torch

    if isinstance(content, torch.Tensor):
        return (RawSet(content, None, remarks=_learned_rate(path)),)
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        content = content["data"]
    if isinstance(content, dict):
        return (_named(content, path),)
    if _is_pair(content):
        return (RawSet(content[0], content[1]),)
    if isinstance(content, list) and content and all(map(_is_pair, content)):
        sets = tuple(RawSet(images, labels) for images, labels in content)
        if len(sets) > 1:
            several = f"the file has {len(sets)} sets; they become distillation seeds 0 to {len(sets) - 1}"
            sets = tuple(replace(own, remarks=(several,)) for own in sets)
        return sets
    raise UserError(f"{path} holds {_described(content)}; {EXPECTED}.")


def _is_pair(content: Any) -> bool:
    import torch

    two = isinstance(content, list) and len(content) == 2 and all(isinstance(one, torch.Tensor) for one in content)
    return two and content[0].ndim >= 3 and content[1].ndim <= 2


def _named(content: dict[str, Any], path: Path) -> RawSet:
    import torch

    tensors = {name.lower(): value for name, value in content.items() if isinstance(value, torch.Tensor)}

    def first(names: Sequence[str]) -> str | None:
        return next((name for name in names if name in tensors), None)

    images, labels, soft = (first(names) for names in (IMAGES, LABELS, SOFT))
    if images is None or (labels is None and soft is None):
        missing = " and no ".join(what for what, name in (("images", images), ("labels", labels)) if name is None)
        found = ", ".join(sorted(content)[:20]) or "nothing"
        raise UserError(f"{path} has no {missing} (found: {found}); {EXPECTED}.")
    unused = sorted(set(tensors) - {images, labels, soft})
    remarks = (f"also in the file, but not used: {', '.join(unused[:10])}",) if unused else ()
    return RawSet(
        tensors[images], None if labels is None else tensors[labels], None if soft is None else tensors[soft], remarks
    )


def _only_tensor(content: Any, path: Path) -> torch.Tensor:
    import torch

    if isinstance(content, dict | list) and len(content) == 1:
        content = next(iter(content.values())) if isinstance(content, dict) else content[0]
    if not isinstance(content, torch.Tensor):
        raise UserError(
            f"{path} holds {_described(content)}; of two files, expected one tensor in each: images, and labels."
        )
    return content


def _learned_rate(images: Path) -> tuple[str, ...]:
    """Return a remark about the learning rate that DATM and DD-Ranking keep beside the images; it is only told."""
    import torch

    for stem, _, rate in PAIRS:
        path = images.with_name(f"{rate}.pt")
        if images.stem == stem and path.is_file():
            found = read_content(path)
            if isinstance(found, torch.Tensor) and found.numel() == 1:
                value = f"{float(found):.6g}"
                return (
                    f"{path.name} contains the learned learning rate {value}; it is used only with --set "
                    f"protocol.lr={value}",
                )
    return ()


def _described(content: Any) -> str:
    import torch

    if isinstance(content, torch.Tensor):
        return f"a tensor {list(content.shape)}"
    if isinstance(content, dict):
        return f"a dict of {', '.join(sorted(content)[:10]) or 'nothing'}"
    if isinstance(content, list):
        return f"a list of {len(content)}"
    return "no tensors"
