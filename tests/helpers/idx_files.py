"""IDX files in small: the four files of an MNIST-like set, with other images."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}


def idx(array: np.ndarray, code: int = 8) -> bytes:
    """Return an array as an IDX file."""
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def grey_images(labels: np.ndarray, seed: int, side: int = 28) -> np.ndarray:
    """Return noisy images [N, S, S] in which the place of a bright bar tells the class."""
    images = np.random.default_rng(seed).integers(0, 60, (len(labels), side, side), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[int(label) * side // 10 : int(label) * side // 10 + 2] = 230
    return images


def idx_files(num_train: int = 4, num_test: int = 2, side: int = 28) -> dict[str, bytes]:
    """Return the four files, so many images of each of ten classes, in mixed order."""
    files = {}
    for split, num in (("train", num_train), ("test", num_test)):
        labels = np.tile(np.arange(10, dtype=np.uint8), num)
        files[NAMES[split, "images"]] = idx(grey_images(labels, num, side))
        files[NAMES[split, "labels"]] = idx(labels)
    return files


def write_idx(files: dict[str, bytes], folder: Path, *, packed: bool = False, joint: str = "-") -> Path:
    """Write the files, .gz or not, as `train-images-idx3-ubyte` or `train-images.idx3-ubyte`; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        stem, _, ending = name.rpartition("-idx")
        path = folder / f"{stem}{joint}idx{ending}{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder
