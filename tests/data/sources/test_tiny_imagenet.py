"""Tiny-ImageNet's layout: a folder in each training class, and one folder of validation images with their annotations."""

import pytest

from harness.core.errors import UserError
from harness.core.suites import load_suite
from harness.data import open_source
from tests.helpers.tiny_imagenet_files import CLASSES, TOP, tiny_files


@pytest.fixture
def tiny(tmp_path):
    """Write the files, changed; return the suite's source of three classes."""

    def call(changes=None):
        for name, content in (tiny_files() | (changes or {})).items():
            if content is not None:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_bytes(content)
        return open_source(load_suite("tiny_imagenet").suite.source, CLASSES, tmp_path)

    return call


def test_both_splits_are_read_as_they_are_distributed(tiny):
    source = tiny()
    train, test = source.split("train"), source.split("test")
    assert train.names(CLASSES[0]) == [f"{CLASSES[0]}_0.JPEG", f"{CLASSES[0]}_1.JPEG"]
    assert [test.names(c) for c in CLASSES] == [["val_2.JPEG"], ["val_1.JPEG"], ["val_0.JPEG"]]
    assert train.tensors(size=64)[0].shape == (6, 3, 64, 64)
    assert source.describe().startswith(
        f"image folder {TOP}: unknown source tiny_imagenet (6 train images in train, 3 "
    )


def test_listing_anew_finds_the_same(tiny):
    source = tiny()
    source.index(anew=True)
    assert source.fingerprint() == tiny().fingerprint()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {f"{TOP}/train/{CLASSES[1]}/images/{CLASSES[1]}_{i}.JPEG": None for i in range(2)},
            r"has no folder n01629819/images",
        ),
        ({f"{TOP}/val/val_annotations.txt": None}, r"test_labels: .*val_annotations\.txt is not a file"),
        (
            {f"{TOP}/val/val_annotations.txt": b"val_0.JPEG\tn01443537\n"},
            r"line 1: expected 'IMAGE CLASS X Y X Y', found",
        ),
        (
            {f"{TOP}/val/images/val_1.JPEG": None},
            r"lacks images listed in .*val_annotations\.txt, of: n01629819 \(1 files\)",
        ),
        ({f"{TOP}/val/images/val_9.JPEG": b"x"}, r"1 images that are not listed in .*val_annotations\.txt"),
        ({f"{TOP}/train/{CLASSES[0]}/images/{CLASSES[0]}_0.JPEG": b""}, r"_0\.JPEG: empty file"),
    ],
)
def test_what_is_missing_is_named(tiny, changes, told):
    with pytest.raises(UserError, match=told):
        tiny(changes).check()


def test_a_set_that_is_not_there_says_how_it_is_laid_out(tmp_path):
    source = open_source(load_suite("tiny_imagenet").suite.source, CLASSES, tmp_path)
    with pytest.raises(
        UserError, match=r"train/CLASS/images/\*\.jpg and val/images/\*\.jpg with val/val_annotations\.txt"
    ):
        source.check()
