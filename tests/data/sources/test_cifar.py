"""CIFAR's python archives, in the original's own format: read, checked, long-tailed; damaged ones are named."""

import hashlib
import os
import pickle

import numpy as np
import pytest
import torch

from harness.core.errors import UserError
from harness.data import open_source
from harness.data.sources.long_tail import kept_items, long_tail_counts
from tests.helpers.cifar_files import CIFAR10, cifar10_files, cifar100_files, images_of, write_archive, write_folder

FOLDER = "cifar-10-batches-py"


@pytest.fixture(scope="module")
def files():
    return cifar10_files()


@pytest.fixture
def root(files, tmp_path):
    return write_folder(files, tmp_path / "data" / FOLDER)


def open_cifar(data_root, class_ids=CIFAR10, **options):
    given = {"kind": "cifar", "dataset": "cifar10", "root": FOLDER, "archive": "cifar-10-python.tar.gz", **options}
    return open_source(given, class_ids, data_root)


def test_images_and_labels_are_those_of_the_files(root):
    split = open_cifar(root).split("train")
    images, labels = split.tensors(size=32)
    assert labels.tolist() == [c for c in range(10) for _ in range(10)]
    original = images_of([c for _ in range(10) for c in range(10)], 1).reshape(-1, 3, 32, 32)
    assert torch.equal(images[:10], torch.from_numpy(original[0::10]))
    assert split.names("airplane")[:2] == ["00000.png", "00010.png"]
    assert len(open_cifar(root).split("test")) == 20


@pytest.mark.parametrize("factor", [2, 5, 10])
def test_the_training_split_is_long_tailed_and_the_test_split_is_not(root, factor):
    source = open_cifar(root, imbalance_factor=factor)
    train, test = source.split("train"), source.split("test")
    assert tuple(train.num_per_class.values()) == long_tail_counts(10, 10, factor)
    assert set(test.num_per_class.values()) == {2}
    for label, class_id in enumerate(CIFAR10):
        kept = kept_items(10, train.num_per_class[class_id])
        assert train.names(class_id) == [f"{10 * i + label:05d}.png" for i in sorted(kept)]
    counts = sorted(train.num_per_class.values())
    assert f"imbalance factor {factor}, {counts[-1]} to {counts[0]} images per class" in source.describe()


def test_the_order_of_the_class_list_gives_labels_and_leaves_the_tail_as_it_is(root):
    turned = open_cifar(root, CIFAR10[::-1], imbalance_factor=10)
    assert turned.split("train").labels["truck"] == 0
    assert turned.split("train").num_per_class["truck"] == 1


def test_cifar100_has_fine_labels(tmp_path):
    names = [f"thing_{n:02d}" for n in range(100)]
    root = write_folder(cifar100_files(names, num_train=4), tmp_path / "data" / "cifar-100-python")
    source = open_cifar(root, tuple(names), dataset="cifar100", root="cifar-100-python", imbalance_factor=4)
    assert tuple(source.split("train").num_per_class.values()) == long_tail_counts(4, 100, 4)
    assert len(source.split("test")) == 100


def test_the_archive_is_read_in_place_and_is_the_same_data(root, files, tmp_path):
    (tmp_path / "archived").mkdir()
    write_archive(files, tmp_path / "archived" / "cifar-10-python.tar.gz", FOLDER)
    packed = open_cifar(tmp_path / "archived", imbalance_factor=5)
    assert packed.is_here()
    assert packed.fingerprint() == open_cifar(root, imbalance_factor=5).fingerprint()
    assert not (tmp_path / "archived" / FOLDER).exists()


def test_the_fingerprint_knows_pixels_order_and_imbalance(root, tmp_path):
    before = open_cifar(root).fingerprint()
    assert open_cifar(root, imbalance_factor=1).fingerprint() == before
    others = [open_cifar(root, CIFAR10[::-1]), open_cifar(root, imbalance_factor=10)]
    write_folder(cifar10_files(num_test=3), tmp_path / "more" / FOLDER)
    others.append(open_cifar(tmp_path / "more"))
    assert len({before, *(source.fingerprint() for source in others)}) == 4


def test_other_sizes_are_resized_as_image_files_are(root):
    split = open_cifar(root).split("test")
    assert split.load("cat", size=16, crop="adm").shape == (2, 3, 16, 16)
    assert split.load("cat", size=28, crop="margin").shape == (2, 3, 28, 28)
    assert split.load("cat", [], size=28).shape == (0, 3, 28, 28)
    assert torch.equal(split.load("cat", size=32, crop="margin"), split.load("cat", size=32, crop="adm"))


def test_files_are_checked_against_their_sums(root, files):
    right = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    open_cifar(root, md5=right).check()
    with pytest.raises(UserError, match=r"not the original files: data_batch_2 \(MD5 .*, expected 0\)"):
        open_cifar(root, md5={**right, "data_batch_2": "0"}).check()
    with (root / FOLDER / "test_batch").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(UserError, match="test_batch"):
        open_cifar(root, md5=right).check()


def test_what_is_missing_is_told_with_what_to_do(root, tmp_path):
    with pytest.raises(
        UserError,
        match=r"Put the folder .* or the archive cifar-10-python\.tar\.gz,.* `harness data fetch SUITE` downloads",
    ):
        open_cifar(tmp_path / "nowhere", origins=["cifar10"]).check()
    for name in ("data_batch_3", "batches.meta"):
        (root / FOLDER / name).unlink()
    with pytest.raises(UserError, match=r"lacks data_batch_3, batches\.meta"):
        open_cifar(root).check()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": np.zeros((3, 10), np.uint8)}, r"'data' is uint8 \[3, 10\], expected uint8 \[N, 3072\]"),
        ({"data": None}, "'data' is NoneType"),
        ({"labels": [0, 1]}, "'labels' is not a list of 3 labels from 0 to 9"),
        ({"labels": [0, 1, 10]}, "'labels' is not a list of 3 labels from 0 to 9"),
    ],
)
def test_a_batch_that_makes_no_sense_is_named(root, changes, told):
    batch = {"data": np.zeros((3, 3072), np.uint8), "labels": [0, 1, 2], **changes}
    (root / FOLDER / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(UserError, match=f"data_batch_1: {told}"):
        open_cifar(root).check()


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("/nonexistent/never",)


def test_a_hostile_batch_is_refused_in_a_folder_and_in_an_archive(root, files, tmp_path):
    files = {**files, "data_batch_4": pickle.dumps({"data": Hostile()}, protocol=2)}
    (root / FOLDER / "data_batch_4").write_bytes(files["data_batch_4"])
    (tmp_path / "packed").mkdir()
    write_archive(files, tmp_path / "packed" / "cifar-10-python.tar.gz", FOLDER)
    for place in (root, tmp_path / "packed"):
        with pytest.raises(UserError, match="data_batch_4: not a pickle of plain data"):
            open_cifar(place).check()


def test_a_file_that_is_no_archive_is_told(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"not a readable \.tar\.gz archive"):
        open_cifar(tmp_path).check()


def test_an_imbalance_that_leaves_a_class_empty_is_refused(root):
    with pytest.raises(UserError, match="no train images of truck are left at imbalance factor 11"):
        open_cifar(root, imbalance_factor=11).check()
    with pytest.raises(UserError, match="imbalance_factor"):
        open_cifar(root, imbalance_factor=0.1)


def test_an_unknown_class_is_refused(root):
    with pytest.raises(UserError, match=r"cifar10 has no class aeroplane\. Did you mean 'airplane'"):
        open_cifar(root, ("aeroplane",)).check()
