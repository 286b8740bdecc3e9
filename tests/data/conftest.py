"""Tiny image trees for the tests of harness/data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def make_tree(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes ROOT/{train,val}/CLASS/0.jpg ... with noise, and returns the data root."""

    def make(class_ids: tuple[str, ...], num_train: int = 3, num_test: int = 2, root: str = "data") -> Path:
        rng = np.random.default_rng(0)
        for split, num in (("train", num_train), ("val", num_test)):
            for class_id in class_ids:
                folder = tmp_path / root / "set" / split / class_id
                folder.mkdir(parents=True)
                for i in range(num):
                    pixels = rng.integers(0, 256, (20 + i, 24, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{i}.jpg")
        return tmp_path / root

    return make
