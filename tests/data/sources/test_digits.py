"""The embedded digits: a fixed split, real pixels."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from harness.core.errors import UserError
from harness.data import open_source
from harness.data.sources.digits import digits_data

CLASSES = tuple("0123456789")


def test_the_split_is_fixed_and_stratified(tmp_path):
    source = open_source({"kind": "digits"}, CLASSES, tmp_path)
    source.check()
    train, test = source.split("train"), source.split("test")

    assert (len(train), len(test)) == (1257, 540)
    for c in CLASSES:
        total = train.num_per_class[c] + test.num_per_class[c]
        assert abs(test.num_per_class[c] - 0.3 * total) < 1
        assert not set(train.names(c)) & set(test.names(c))
        assert train.names(c) == sorted(train.names(c))


def test_pixels_are_the_real_ones_as_grey_rgb(tmp_path):
    from sklearn.datasets import load_digits

    split = open_source({"kind": "digits"}, CLASSES, tmp_path).split("train")
    image = split.load("3", [0], size=8)[0]
    ink = load_digits().images[int(split.names("3")[0].removesuffix(".png"))]

    expected = torch.from_numpy(ink * 255 / 16).round().to(torch.uint8)
    assert image.dtype == torch.uint8
    assert all(torch.equal(channel, expected) for channel in image)


def test_images_and_labels_have_the_asked_size_and_the_class_order(tmp_path):
    order = tuple(reversed(CLASSES))
    images, labels = open_source({"kind": "digits"}, order, tmp_path).split("test").tensors(size=32)

    assert images.shape == (540, 3, 32, 32)
    assert labels.dtype == torch.int64
    assert labels.bincount()[0] == open_source({"kind": "digits"}, order, tmp_path).split("test").num_per_class["9"]


def test_the_fingerprint_depends_on_the_class_order_only(tmp_path):
    source = open_source({"kind": "digits"}, CLASSES, tmp_path)

    assert source.fingerprint() == open_source({"kind": "digits"}, CLASSES, tmp_path / "elsewhere").fingerprint()
    assert source.fingerprint() != open_source({"kind": "digits"}, CLASSES[::-1], tmp_path).fingerprint()
    assert "1,257 train / 540 test" in source.describe()
    assert source.fingerprint()[:8] in source.describe()


def test_an_unknown_digit_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="but not ten, 11"):
        open_source({"kind": "digits"}, ("0", "ten", "11"), tmp_path).check()


def test_images_targets_and_split_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch, own = load_digits(), digits_data()
    train, test = train_test_split(range(1797), test_size=0.3, random_state=0, stratify=bunch.target)
    np.testing.assert_array_equal(own.images, bunch.images)
    np.testing.assert_array_equal(own.targets, bunch.target)
    assert {name: sorted(rows.tolist()) for name, rows in own.positions.items()} == {
        "train": sorted(train),
        "test": sorted(test),
    }
    assert (own.images.dtype, own.targets.dtype) == (np.uint8, np.int64)


def test_reading_the_digits_imports_no_scikit_learn():
    """It takes longer than all else that a first job needs."""
    code = "import sys; from harness.data.sources import digits; digits.digits_data(); print('sklearn' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
