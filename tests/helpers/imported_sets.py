"""Sets of the tiny suite as others would give them."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def pixels():
    """Three real digits of each class, class id -> uint8 [3, 16, 16, 3]; their pixels are not those of any split."""
    digits = load_digits()
    found = {}
    for label in range(10):
        grey = digits.images[digits.target == label][:3]
        enlarged = np.kron(grey * 255 / 16, np.ones((2, 2))).astype(np.uint8)
        found[str(label)] = np.repeat(enlarged[..., None], 3, axis=3)
    return found


@pytest.fixture
def write_folder(pixels, tmp_path):
    """Return a function that writes a folder of class folders; `name` makes a folder's name of a class id."""

    def write(name=lambda c: c, where="given", ending=".png", size=None, classes=None):
        root = tmp_path / where
        for c in classes or pixels:
            (root / name(c)).mkdir(parents=True)
            for number, image in enumerate(pixels[c]):
                picture = Image.fromarray(image)
                (picture.resize(size) if size else picture).save(root / name(c) / f"{number}{ending}")
        return root

    return write


@pytest.fixture
def tensors(pixels):
    """Return images uint8 [30, 3, 16, 16] and labels int64 [30], classes in turns."""
    images = np.stack([pixels[str(label)][number] for number in range(3) for label in range(10)])
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), np.tile(np.arange(10), 3)
