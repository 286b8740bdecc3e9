"""`harness data check` names every problem of an image folder in one go, and says what to do."""

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import UserError
from harness.core.progress import no_progress
from harness.core.suites import load_suite
from harness.data.fetch.check import check_data

SUITE = """name: pets
title: pets
version: 1
source: {kind: image_folder, root: pets}
classes: pets.txt
image_size: 32
budget: {ipc: [1], training_seeds: [0]}
protocol: idc
students: [convnet3]
"""


@pytest.fixture
def pets(tmp_path):
    """A suite of two classes with three images each in both splits; returns its folder."""
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for number in range(3):
                pixels = np.full((40, 40, 3), 40 * number, np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    (tmp_path / "pets.txt").write_text("cat\ndog\n")
    (tmp_path / "pets.yaml").write_text(SUITE)
    return tmp_path


def look(folder):
    return check_data(load_suite(str(folder / "pets.yaml")), folder, no_progress)


def test_an_empty_file_and_one_that_is_no_image_are_named_together(pets):
    (pets / "pets" / "train" / "dog" / "1.jpg").write_bytes(b"")
    (pets / "pets" / "train" / "cat" / "2.jpg").write_text("junk")
    with pytest.raises(UserError) as caught:
        look(pets)
    text = str(caught.value)
    assert "dog/1.jpg: empty file (0 bytes)" in text
    assert f"train: {pets}/pets/train/cat/2.jpg: not an image of a known format" in text


def test_a_folder_of_no_class_is_a_remark(pets):
    (pets / "pets" / "train" / "fox").mkdir()
    assert look(pets).remarks == ["train: 1 folder not in the class list, ignored: fox"]


def test_many_other_folders_are_a_larger_data_set_and_no_remark(pets):
    for name in ("fox", "owl", "cow"):
        (pets / "pets" / "train" / name).mkdir()
    assert look(pets).remarks == []


def test_a_test_folder_of_another_name_gets_a_hint(pets):
    (pets / "pets" / "val").rename(pets / "pets" / "test")
    with pytest.raises(UserError, match=r"pets has: test, train\. .* set test_dir .*--set data\.test_dir=FOLDER"):
        look(pets)
