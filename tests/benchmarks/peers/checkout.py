"""Import modules of an authors' checkout, on a machine without a GPU too."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import MappingProxyType
from unittest import mock

import torch

from harness.core.errors import UserError


def check(folder: Path, needs: str, option: str) -> None:
    """See that a folder is a checkout.

    Raises:
        UserError: it lacks a file that the authors' repository has.
    """
    if not (folder / needs).is_file():
        raise UserError(f"{option} {folder}: no {needs} there; expected a checkout of the authors' repository")


@contextmanager
def checkout(folder: Path, *, absent: Mapping[str, str] = MappingProxyType({})) -> Iterator[None]:
    """Make the folder's modules importable inside, and forget their names after: repositories share names such as `utils`.

    Args:
        folder: the checkout.
        absent: packages that its modules import from, and what; nothing stands for it, because what is timed does not use it.
    """
    before = set(sys.modules)
    for name, attribute in absent.items():
        empty = types.ModuleType(name)
        empty.__spec__ = ModuleSpec(name, None)
        setattr(empty, attribute, None)
        sys.modules.setdefault(name, empty)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if name in absent or (file and Path(file).is_relative_to(folder.resolve())):
                del sys.modules[name]


@contextmanager
def on_this_device(device: torch.device) -> Iterator[None]:
    """Let `.cuda()` and `.to("cuda")` leave tensors and networks where they are, where there is no GPU."""
    if device.type == "cuda":
        yield
        return

    def stay(self: object, *args: object, **kwargs: object) -> object:
        return self

    move = torch.Tensor.to

    def move_or_stay(self: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        return self if args[:1] == ("cuda",) else move(self, *args, **kwargs)  # type: ignore[call-overload, no-any-return]

    with (
        mock.patch.object(torch.Tensor, "cuda", stay),
        mock.patch.object(torch.nn.Module, "cuda", stay),
        mock.patch.object(torch.Tensor, "to", move_or_stay),
    ):
        yield
