"""SVHN's two MATLAB files in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat


def images_of(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return noisy images [32, 32, 3, N] whose colour tells the label."""
    rng = np.random.default_rng(seed)
    colours = np.random.default_rng(0).integers(40, 216, (11, 3))
    return (colours[labels].T[None, None] + rng.normal(0, 15, (32, 32, 3, len(labels)))).clip(0, 255).astype(np.uint8)


def write_svhn(folder: Path, num_train: int = 3, num_test: int = 1, *, compressed: bool = True) -> Path:
    """Write train_32x32.mat and test_32x32.mat, so many images of each label from 1 to 10; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, num in (("train", num_train), ("test", num_test)):
        labels = np.tile(np.arange(1, 11), num)
        content = {"X": images_of(labels, num), "y": labels[:, None].astype(np.uint8)}
        savemat(folder / f"{split}_32x32.mat", content, do_compression=compressed)
    return folder
