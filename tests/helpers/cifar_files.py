"""CIFAR's python archives in small: the same files, keys and pickle opcodes as Python 2 wrote them, with other images."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def python2_pickle(value: Any) -> bytes:
    """Pickle as Python 2's cPickle with protocol 2: texts are byte strings, arrays are numpy.core.multiarray's."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_opcodes(k) + _opcodes(v) for k, v in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_opcodes, value)) + b"t"
    if isinstance(value, str | bytes):
        raw = value.encode() if isinstance(value, str) else value
        return (b"U" + bytes([len(raw)]) if len(raw) < 256 else b"T" + struct.pack("<i", len(raw))) + raw
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    assert isinstance(value, np.ndarray)
    assert value.dtype == np.uint8
    dtype = b"cnumpy\ndtype\n" + _opcodes(("u1", 0, 1)) + b"R" + _opcodes((3, "|", None, None, None, -1, -1, 0)) + b"b"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _opcodes((0,)) + _opcodes("b") + b"tR"
    state = b"(" + _opcodes(1) + _opcodes(value.shape) + dtype + _opcodes(False) + _opcodes(value.tobytes()) + b"t"
    return made + state + b"b"


def images_of(labels: list[int], seed: int) -> np.ndarray:
    """Return noisy images [N, 3072] whose colour tells the class."""
    rng = np.random.default_rng(seed)
    colours = np.random.default_rng(0).integers(40, 216, size=(100, 3, 1))
    pixels = colours[labels] + rng.normal(0, 20, size=(len(labels), 3, 1024))
    return pixels.clip(0, 255).astype(np.uint8).reshape(len(labels), 3072)


def cifar10_files(num_train: int = 10, num_test: int = 2) -> dict[str, bytes]:
    """Return the files of cifar-10-batches-py with so many images of each class, in mixed order, over five batches."""
    labels = [c for _ in range(num_train) for c in range(10)]
    images = images_of(labels, 1)
    files = {
        "batches.meta": python2_pickle({"num_cases_per_batch": 10000, "label_names": list(CIFAR10), "num_vis": 3072})
    }
    for batch in range(5):
        part = slice(batch * len(labels) // 5, (batch + 1) * len(labels) // 5)
        label = f"training batch {batch + 1} of 5"
        files[f"data_batch_{batch + 1}"] = _batch(label, images[part], {"labels": labels[part]})
    test = [c for c in range(10) for _ in range(num_test)]
    files["test_batch"] = _batch("testing batch 1 of 1", images_of(test, 2), {"labels": test})
    return files


def cifar100_files(names: list[str], num_train: int = 10, num_test: int = 1) -> dict[str, bytes]:
    """Return the files of cifar-100-python."""
    coarse = [f"superclass_{n}" for n in range(20)]
    files = {"meta": python2_pickle({"fine_label_names": names, "coarse_label_names": coarse})}
    for name, num, seed in (("train", num_train, 1), ("test", num_test, 2)):
        fine = [c for _ in range(num) for c in range(100)]
        labels = {"fine_labels": fine, "coarse_labels": [c // 5 for c in fine]}
        files[name] = _batch(f"{name}ing batch 1 of 1", images_of(fine, seed), labels)
    return files


def _batch(label: str, images: np.ndarray, labels: dict[str, list[int]]) -> bytes:
    names = [f"image_{n:06d}.png" for n in range(len(images))]
    return python2_pickle({"data": images, **labels, "batch_label": label, "filenames": names})


def write_folder(files: dict[str, bytes], folder: Path) -> Path:
    """Write the files as the extracted archive; return its parent, the data root."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder.parent


def write_archive(files: dict[str, bytes], path: Path, folder: str) -> None:
    """Write the files as the original .tar.gz, in a folder."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def python3_pickle(value: Any) -> bytes:
    """Pickle as Python 3 does with protocol 2: bytes go through codecs."""
    return pickle.dumps(value, protocol=2)
