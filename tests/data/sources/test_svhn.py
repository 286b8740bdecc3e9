"""SVHN's MATLAB files: read as data, label 10 is the digit 0; others and damaged ones are named."""

import hashlib

import numpy as np
import pytest
import torch
from scipy.io import savemat

from harness.core.errors import UserError
from harness.data import open_source
from tests.helpers.svhn_files import images_of, write_svhn

IDS = tuple("0123456789")


def open_svhn(root, **options):
    return open_source({"kind": "svhn", "root": "svhn", **options}, IDS, root)


def test_images_and_digits_are_those_of_the_files(tmp_path):
    write_svhn(tmp_path / "svhn")
    train = open_svhn(tmp_path).split("train")
    images, labels = train.tensors(size=32)
    original = images_of(np.tile(np.arange(1, 11), 3), 3)
    assert labels.tolist() == [digit for digit in range(10) for _ in range(3)]
    assert train.names("0") == ["00009.png", "00019.png", "00029.png"]
    assert torch.equal(images[0], torch.from_numpy(original[..., 9].transpose(2, 0, 1).copy()))
    assert torch.equal(images[3], torch.from_numpy(original[..., 0].transpose(2, 0, 1).copy()))
    assert len(open_svhn(tmp_path).split("test")) == 10
    assert open_svhn(tmp_path).describe().startswith("SVHN (30 train / 10 test; fingerprint ")


def test_sums_are_checked_before_anything_is_read(tmp_path):
    path = write_svhn(tmp_path / "svhn") / "train_32x32.mat"
    own = hashlib.md5(path.read_bytes()).hexdigest()
    open_svhn(tmp_path, md5={path.name: own}).check()
    with pytest.raises(
        UserError, match=rf"train_32x32\.mat: not the original file: its MD5 sum is {own}, expected 000"
    ):
        open_svhn(tmp_path, md5={path.name: "0" * 32}).check()


def test_missing_files_are_named(tmp_path):
    (write_svhn(tmp_path / "svhn") / "test_32x32.mat").unlink()
    with pytest.raises(UserError, match=r"svhn lacks test_32x32\.mat"):
        open_svhn(tmp_path).check()
    with pytest.raises(UserError, match=r"svhn does not exist"):
        open_svhn(tmp_path / "elsewhere").check()


X, Y = images_of(np.arange(1, 11), 0), np.arange(1, 11, dtype=np.uint8)[:, None]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"X": X}, r"expected X \[32, 32, 3, N\] and y \[N, 1\], found X \[32, 32, 3, 10\]$"),
        ({"X": X[..., :9], "y": Y}, r"found X \[32, 32, 3, 9\], y \[10, 1\]"),
        ({"X": X[:16], "y": Y}, r"found X \[16, 32, 3, 10\]"),
        ({"X": X.astype(float), "y": Y}, r"expected X of uint8"),
        ({"X": X, "y": Y - 1}, r"y from 1 to 10"),
        ({"X": X, "y": np.full((10, 1), 3, np.uint8)}, r"the train split has no images of class 0, 1, 2, 4"),
        ({"X": {"a": 1}, "y": Y}, r"expected X \[32, 32, 3, N\]"),
    ],
)
def test_other_content_is_told(tmp_path, content, told):
    savemat(write_svhn(tmp_path / "svhn") / "train_32x32.mat", content)
    with pytest.raises(UserError, match=told):
        open_svhn(tmp_path).check()


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("keep", [0, 60, 130, 0.5, -20])
def test_a_file_that_broke_off_is_no_whole_one(tmp_path, compressed, keep):
    path = write_svhn(tmp_path / "svhn", compressed=compressed) / "train_32x32.mat"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if 0 < keep < 1 else keep])
    with pytest.raises(UserError, match=r"train_32x32\.mat(: expected X| is not a complete MATLAB 5 file)"):
        open_svhn(tmp_path).check()


def test_a_web_page_is_no_matlab_file(tmp_path):
    path = write_svhn(tmp_path / "svhn") / "train_32x32.mat"
    path.write_bytes(b"<!DOCTYPE html>" + b"x" * 500)
    with pytest.raises(UserError, match="is not a complete MATLAB 5 file"):
        open_svhn(tmp_path).check()
