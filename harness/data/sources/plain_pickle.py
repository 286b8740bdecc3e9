"""Read a pickle that holds plain data only: numbers, texts, bytes, lists, dicts and numpy arrays.

In: the bytes of a file from outside. Out: the data. A pickle is a program: loading one with `pickle.load` runs whatever
its author chose. Here nothing that a pickle names is ever imported or called. The four names that numpy arrays and
Python 3's way of writing bytes need are answered by stand-ins of our own; any other name ends the reading.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from typing import Any

from harness.core.errors import UserError

_NUMBERS = re.compile(r"[iuf][1248]")


class _Dtype:
    """Stands for numpy's dtype: keeps its code, such as "u1"."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = _text(code)

    def __setstate__(self, state: Any) -> None:
        if len(state) > 1 and _text(state[1]) == ">":
            raise ValueError("big-endian numbers")


class _Array:
    """Stands for a numpy array until its bytes are known; then holds it as `array`."""

    def __init__(self, *_: Any) -> None:
        self.array: Any = None

    def __setstate__(self, state: Any) -> None:
        import numpy as np

        _, shape, dtype, is_fortran, raw = state
        if not isinstance(dtype, _Dtype) or not _NUMBERS.fullmatch(dtype.code) or not isinstance(raw, bytes):
            raise ValueError("an array of non-numbers")
        values = np.frombuffer(raw, dtype=f"<{dtype.code}")
        self.array = values.reshape([int(n) for n in shape], order="F" if is_fortran else "C")


def _text(value: Any) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def _encode(text: Any, encoding: Any) -> bytes:
    """Stand for codecs.encode, with which Python 3 writes bytes into pickles that Python 2 can read."""
    if not isinstance(text, str) or _text(encoding) != "latin1":
        raise ValueError("bytes in an unknown encoding")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _encode,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in; never import anything."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it requests {module}.{name}, which plain data do not need")
        return _STAND_INS[module, name]


def read_plain_pickle(content: bytes, where: str) -> dict[str, Any]:
    """Return the dict that a pickle holds; the keys as str, Python 2's texts as bytes, arrays as numpy arrays.

    Args:
        content: the whole pickle.
        where: names the file in messages.

    Raises:
        UserError: the pickle is damaged, asks for anything but plain data, or holds no dict.
    """
    try:
        value = _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # damaged pickles raise nearly anything
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{where}: not a pickle of plain data: {reason}. Nothing in it was run. Fetch the original archive again."
        ) from None
    if not isinstance(value, dict):
        raise UserError(f"{where}: holds a {type(value).__name__}, expected a dict. Fetch the original archive again.")
    return {_name(key): item.array if isinstance(item, _Array) else item for key, item in value.items()}


def _name(key: Any) -> str:
    return key.decode("utf-8", errors="replace") if isinstance(key, bytes) else str(key)
