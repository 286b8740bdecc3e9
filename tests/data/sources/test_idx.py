"""IDX files, as MNIST and Fashion-MNIST have them: read strictly, packed or not; damaged ones are named."""

import gzip
import hashlib

import numpy as np
import pytest
import torch

from harness.core.errors import UserError
from harness.core.suites import load_suite
from harness.data import open_source, read_class_list
from tests.helpers.idx_files import NAMES, grey_images, idx, idx_files, write_idx

IDS = tuple("0123456789")
IMAGES, LABELS = NAMES["train", "images"], NAMES["train", "labels"]


def open_idx(root, class_ids=IDS, **options):
    return open_source({"kind": "idx", "root": "mnist", **options}, class_ids, root)


@pytest.fixture
def files():
    return idx_files()


def test_images_and_labels_are_those_of_the_files(files, tmp_path):
    write_idx(files, tmp_path / "mnist")
    split = open_idx(tmp_path).split("train")
    images, labels = split.tensors(size=28)
    original = grey_images(np.tile(np.arange(10), 4), 4)
    assert labels.tolist() == [c for c in range(10) for _ in range(4)]
    assert torch.equal(images[:4, 0], torch.from_numpy(original[0::10]))
    assert split.names("1") == ["00001.png", "00011.png", "00021.png", "00031.png"]
    assert len(open_idx(tmp_path).split("test")) == 20


@pytest.mark.parametrize(("packed", "joint"), [(True, "-"), (False, "."), (True, ".")])
def test_packed_files_and_the_other_spelling_are_the_same_data(files, tmp_path, packed, joint):
    write_idx(files, tmp_path / "one" / "mnist")
    write_idx(files, tmp_path / "two" / "mnist", packed=packed, joint=joint)
    assert open_idx(tmp_path / "one").fingerprint() == open_idx(tmp_path / "two").fingerprint()


def test_the_fingerprint_knows_pixels_labels_and_class_order(files, tmp_path):
    write_idx(files, tmp_path / "mnist")
    before = {open_idx(tmp_path).fingerprint(), open_idx(tmp_path, IDS[::-1]).fingerprint()}
    content = files[IMAGES]
    write_idx(files | {IMAGES: content[:-1] + bytes([content[-1] ^ 1])}, tmp_path / "other" / "mnist")
    relabelled = idx(np.tile(np.arange(10, dtype=np.uint8)[::-1], 4))
    write_idx(files | {LABELS: relabelled}, tmp_path / "again" / "mnist")
    after = {open_idx(tmp_path / name).fingerprint() for name in ("other", "again")}
    assert len(before | after) == 4


def test_a_class_is_its_number_whatever_the_list_leaves_out(files, tmp_path):
    write_idx(files, tmp_path / "mnist")
    train = open_idx(tmp_path, ("7", "2")).split("train")
    assert (train.names("7")[0], train.labels, len(train)) == ("00007.png", {"7": 0, "2": 1}, 8)


def test_the_first_folder_that_is_there_is_read(files, tmp_path):
    elsewhere = write_idx(files, tmp_path / "elsewhere")
    source = open_idx(tmp_path, alternatives=["MNIST/raw", str(elsewhere)])
    assert source.is_here()
    assert source.place == elsewhere
    write_idx(idx_files(num_train=3), tmp_path / "MNIST" / "raw")
    assert len(open_idx(tmp_path, alternatives=["MNIST/raw", str(elsewhere)]).split("train")) == 30


def test_other_sides_are_resized(files, tmp_path):
    write_idx(files, tmp_path / "mnist")
    assert open_idx(tmp_path).split("test").load("3", [0], size=32).shape[-2:] == (32, 32)


def test_sums_are_those_of_the_content_however_it_is_packed(files, tmp_path):
    write_idx(files, tmp_path / "mnist", packed=True)
    own = hashlib.md5(files[IMAGES]).hexdigest()
    open_idx(tmp_path, md5={IMAGES: own}).check()
    with pytest.raises(
        UserError, match=rf"images-idx3-ubyte\.gz: not the original file: the MD5 sum .* {own}, expected"
    ):
        open_idx(tmp_path, md5={IMAGES: "0" * 32}).check()


def test_a_set_that_is_not_there_says_where_it_may_lie(tmp_path):
    source = open_idx(tmp_path, alternatives=["MNIST/raw"], origins=["mnist"])
    assert not source.is_here()
    with pytest.raises(
        UserError, match=r"mnist does not exist\. Put the data there \(or MNIST/raw\).*`harness data fetch SUITE`"
    ):
        source.check()


BROKEN = {
    "cut off": ({IMAGES: lambda b: b[:-1]}, r"train-images-idx3-ubyte: 31,360 bytes expected, 31,359 found"),
    "too long": ({IMAGES: lambda b: b + b"x"}, r"31,360 bytes expected, more found"),
    "empty": ({IMAGES: lambda b: b""}, r"train-images-idx3-ubyte is not an IDX file: it starts with nothing"),
    "a web page": (
        {LABELS: lambda b: b"<!DOCTYPE html>"},
        r"labels-idx1-ubyte is not an IDX file: it starts with 3c 21 44 4f",
    ),
    "half a header": ({LABELS: lambda b: b[:6]}, r"train-labels-idx1-ubyte is truncated in its header"),
    "swapped": (
        {LABELS: lambda b: idx(np.zeros((4, 28, 28), np.uint8))},
        r"labels-idx1-ubyte holds uint8 numbers in 3 dimensions, expected uint8 in 1",
    ),
    "floats": (
        {IMAGES: lambda b: idx(np.zeros((4, 28, 28), np.float32), code=13)},
        r"holds float32 numbers in 3 dimensions, expected uint8 in 3",
    ),
    "a bomb": (
        {IMAGES: lambda b: b[:4] + b"\xff" * 12},
        r"states a size of 79,2\d+,\d+,.* bytes, larger than any data set",
    ),
    "not square": (
        {IMAGES: lambda b: idx(np.zeros((40, 28, 14), np.uint8))},
        r"40 images of 28x14 pixels; expected square",
    ),
    "other counts": (
        {LABELS: lambda b: idx(np.zeros(39, np.uint8))},
        r"has 40 images, .* 39 labels: they do not match",
    ),
    "other sides": (
        {IMAGES: lambda b: idx(np.zeros((40, 14, 14), np.uint8))},
        r"images of 14 pixels \(train\) and 28 pixels \(test\); expected one size",
    ),
    "no such class": (
        {LABELS: lambda b: idx(np.full(40, 3, np.uint8))},
        r"the train split has no images of class 0, 1, 2, 4, .* Its labels: 3\.",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named(files, tmp_path, kind):
    changes, told = BROKEN[kind]
    write_idx({name: changes.get(name, lambda b: b)(content) for name, content in files.items()}, tmp_path / "mnist")
    with pytest.raises(UserError, match=told):
        open_idx(tmp_path).check()


def test_a_packed_file_that_broke_off_is_named(files, tmp_path):
    folder = write_idx(files, tmp_path / "mnist", packed=True)
    path = folder / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"images-idx3-ubyte\.gz is not a complete \.gz file"):
        open_idx(tmp_path).check()
    path.write_bytes(files[IMAGES])
    with pytest.raises(UserError, match=r"images-idx3-ubyte\.gz is not a complete \.gz file \(Not a gzipped file"):
        open_idx(tmp_path).check()


def test_a_packed_file_is_not_unpacked_beyond_what_it_announces(files, tmp_path):
    folder = write_idx(files, tmp_path / "mnist", packed=True)
    (folder / f"{IMAGES}.gz").write_bytes(gzip.compress(files[IMAGES] + bytes(50_000_000)))
    with pytest.raises(UserError, match="31,360 bytes expected, more found"):
        open_idx(tmp_path).check()


def test_all_missing_files_are_named_at_once(files, tmp_path):
    del files[IMAGES], files[LABELS]
    write_idx(files, tmp_path / "mnist")
    with pytest.raises(UserError, match="mnist lacks train-images-idx3-ubyte, train-labels-idx1-ubyte"):
        open_idx(tmp_path).check()


def test_class_ids_are_numbers(files, tmp_path):
    write_idx(files, tmp_path / "mnist")
    with pytest.raises(UserError, match=r"class 'Dress', '03' is not a label"):
        open_idx(tmp_path, ("0", "Dress", "03")).check()


def _fashion_mnist():
    file = load_suite("fashion_mnist")
    return open_source(file.suite.source, tuple(c.id for c in read_class_list(file.class_list)), "data")


@pytest.mark.skipif(not _fashion_mnist().is_here(), reason="Fashion-MNIST is not here; Debian: dataset-fashion-mnist")
def test_the_real_fashion_mnist_is_what_it_should_be():
    source = _fashion_mnist()
    train, test = source.split("train"), source.split("test")
    assert set(train.num_per_class.values()) == {6000}
    assert set(test.num_per_class.values()) == {1000}
    sums = {name: int(source._data.images[name].sum(dtype=np.int64)) for name in ("train", "test")}
    assert sums == {"train": 3431114169, "test": 573469082}
    assert source.fingerprint().startswith("2e4ea1ed")
