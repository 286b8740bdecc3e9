"""Read a file of tensors without running anything that it contains.

In: a .pt, .pth, .npz, .npy or .safetensors file. Out: tensors, in the dicts, lists and tuples that the file has them in.
`torch.load(weights_only=True)`, `numpy.load(allow_pickle=False)` and safetensors never call what a file names.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.environment import free_memory
from harness.core.errors import UserError
from harness.core.text import byte_size, shorten

if TYPE_CHECKING:
    import torch


TENSORS = (".pt", ".pth", ".npz", ".npy", ".safetensors")
"""Endings of files of tensors."""


MOST_PARTS = 10_000
"""Tensors, lists and dicts in one file, at most: no released set has so many."""


def read_content(path: Path) -> Any:
    """Return what a file holds: a tensor, or dicts, lists and tuples of tensors. Anything else becomes None.

    Raises:
        UserError: the file is damaged, names code, is too large for memory, or holds tensors that are no plain numbers.
    """
    try:
        content = _READERS.get(path.suffix.lower(), _read_torch)(path)
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]{1,100})", str(error))
        what = f" (it refers to {named[1]})" if named else ""
        raise UserError(
            f"{path}: not read, because it contains more than tensors{what}: opening it would run code from the file. "
            "Save only the tensors: torch.save({'images': images, 'labels': labels}, FILE)."
        ) from None
    except Exception as error:  # numpy, zip and safetensors raise dozens of kinds on damaged files
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}.") from None
    return _Plain(path).of(content)


def _read_torch(path: Path) -> Any:
    import torch

    # DC, DSA and DM write their accuracies beside the images, as numbers of numpy. They are not needed, so what their
    # pickle names is replaced by stand-ins that do nothing: numpy itself is not called.
    inert: list[Any] = [(_nothing, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    inert.append((_Nothing, "numpy.dtype"))
    with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(inert):
        return torch.load(path, map_location="cpu", weights_only=True)


def _read_npz(path: Path) -> Any:
    import numpy as np
    import torch

    with zipfile.ZipFile(path) as archive:
        _check_size(sum(info.file_size for info in archive.infolist()), path)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in arrays.files}


def _read_npy(path: Path) -> Any:
    import numpy as np
    import torch

    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    _check_size(mapped.nbytes, path)
    return torch.from_numpy(np.array(mapped))


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(str(path))


_READERS = {".npz": _read_npz, ".npy": _read_npy, ".safetensors": _read_safetensors}


class _Nothing:
    """Stands for numpy's type of numbers in a pickle; keeps nothing and does nothing."""

    def __init__(self, *args: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def _nothing(*args: Any) -> None:
    """Stand for numpy's function that makes a number in a pickle."""


class _Plain:
    """Makes plain tensors of a file's content.

    Raises:
        UserError: a tensor is sparse, quantised, complex, without numbers, or claims more memory than half of what is free.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._parts = path, 0

    def of(self, content: Any, name: str = "") -> Any:
        import torch

        self._parts += 1
        if self._parts > MOST_PARTS:
            raise UserError(f"{self.path} has more than {MOST_PARTS:,} parts; this is not a set of images.")
        if isinstance(content, torch.Tensor):
            return self._tensor(content, name)
        if isinstance(content, dict):
            return {str(key): self.of(value, f"{name}[{key!r}]") for key, value in content.items()}
        if isinstance(content, list | tuple):
            return [self.of(value, f"{name}[{number}]") for number, value in enumerate(content)]
        return None

    def _tensor(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """Return a tensor that holds its numbers, one after the other, and no more memory than they take."""
        import torch

        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu":
            raise UserError(
                f"{self.path}: {shorten(name or 'its content')} is a {str(tensor.layout).removeprefix('torch.')} "
                f"tensor of {tensor.dtype} on {tensor.device}; expected a dense tensor of numbers on the CPU."
            )
        unpacked, stored = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
        if unpacked > stored:  # expanded: a few bytes that claim to be gigabytes
            _check_size(unpacked, self.path)
        return tensor.detach()


def _check_size(num_bytes: int, path: Path) -> None:
    free = free_memory()
    if num_bytes > free / 2:
        raise UserError(
            f"{path}: needs {byte_size(num_bytes)} of memory (file size {byte_size(path.stat().st_size)}), more than "
            f"half of the {byte_size(free)} that are free. Export it as a folder of images."
        )
