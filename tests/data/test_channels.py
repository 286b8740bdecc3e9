"""Channels of real images: luma as Pillow's, grey repeated, and every split of a run with those of its suite."""

import hashlib
import json

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from harness.core.classes import ClassInfo
from harness.data import open_source
from harness.data.channels import in_channels, is_grey, with_channels
from harness.data.decoded import DecodedFile
from harness.data.real import RealImages
from harness.data.rows import FileRows
from harness.data.sets.folder import contact_sheet, load_distilled, save_distilled, seen_by_students
from harness.data.split import ImageReader, Split

CLASSES = ("n1", "n0")


class GreyReader(ImageReader):
    """A source whose files have one channel, as IDX files."""

    channels = 1

    def names(self, class_id):
        return ["0.png", "1.png"]

    def read(self, items, *, size, crop, report=None):
        return torch.stack([torch.full((1, size, size), 10 * index + 1, dtype=torch.uint8) for _, index in items])


def random_images(num=500, channels=3):
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num, channels, 8, 8), dtype=torch.uint8, generator=rng)


def test_rgb_becomes_luma_bit_for_bit_as_pillow_converts_it():
    images = random_images()
    found = with_channels(images, 1)
    expected = [np.asarray(Image.fromarray(one.permute(1, 2, 0).numpy()).convert("L")) for one in images]
    assert np.array_equal(found[:, 0].numpy(), np.stack(expected))


def test_grey_is_repeated_and_comes_back_as_it_was():
    grey = random_images(channels=1)
    colour = with_channels(grey, 3)
    assert colour.shape == (500, 3, 8, 8)
    assert is_grey(colour)
    assert not is_grey(random_images())
    assert torch.equal(with_channels(colour, 1), grey)
    assert with_channels(colour, 3) is colour, "nothing is copied for nothing"


def test_parts_of_a_split_keep_its_channels(make_tree):
    split = open_source({"kind": "image_folder", "root": "set"}, CLASSES, make_tree(CLASSES)).split("train")
    grey = in_channels(split, 1)
    assert in_channels(split, 3) is split
    rest, held = grey.holdout(0.5, seed=0)
    for part in (grey, grey.restrict(["n0"]), grey.select({"n1": [0], "n0": [1]}), rest, held):
        assert part.channels == 1
        assert part.tensors(size=8)[0].shape[1] == 1
    assert torch.equal(grey.load("n0", [1], size=8), with_channels(split.load("n0", [1], size=8), 1))
    assert grey.copies("n0") == split.copies("n0")


def test_a_grey_source_is_repeated_in_a_suite_in_colour():
    split = in_channels(Split(GreyReader(), CLASSES), 3)
    assert split.tensors(size=4)[0].shape == (4, 3, 4, 4)
    assert in_channels(Split(GreyReader(), CLASSES), 1).load("n0", [1], size=4).unique().tolist() == [11]


def test_grey_files_of_decoded_images_are_a_third_and_have_names_of_their_own(make_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    split = open_source({"kind": "image_folder", "root": "set"}, CLASSES, make_tree(CLASSES)).split("train")
    colour, grey = (DecodedFile.of(in_channels(split, k), "train", "f", size=8, crop="resize") for k in (3, 1))
    about = json.dumps([1, PIL.__version__, "f", "train", 8, "resize"])
    assert colour.path.stem == f"train-8-resize-{hashlib.sha256(about.encode()).hexdigest()[:24]}", "as before"
    assert grey.path != colour.path
    assert colour.row_bytes == 3 * grey.row_bytes == 192
    grey.make()
    rows = FileRows(grey.path, grey.shape, len(grey.header), "cpu")
    images = in_channels(split, 1).tensors(size=8, crop="resize")[0]
    assert torch.equal(torch.cat(list(rows.split(3))), images)


def test_real_images_of_a_task_count_a_byte_a_pixel(monkeypatch):
    """Two classes of two images, 64 bytes each in grey: both stay below a limit that one in colour would pass."""
    monkeypatch.setenv("HARNESS_IMAGES_IN_MEMORY_GB", str(300 / 1e9))
    real = RealImages(Split(GreyReader(), CLASSES), size=8, device="cpu")
    first = real.images("n0")
    real.images("n1")
    assert real.images("n0") is first


CLASS = (ClassInfo("a", 0, "a"),)


def test_a_grey_set_is_written_as_mode_l_and_read_back_bit_for_bit(tmp_path):
    images = {"a": random_images(4, channels=1)}
    save_distilled(tmp_path, images, CLASS)
    for path in tmp_path.glob("a/*.png"):
        with Image.open(path) as image:
            assert image.mode == "L"
    assert torch.equal(load_distilled(tmp_path, CLASS, 8, channels=1)[0], images["a"])
    contact_sheet(images, CLASS, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.mode, is_grey(torch.from_numpy(np.array(sheet)).permute(2, 0, 1)[None])) == ("RGB", True)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_drawn_in_memory_are_those_of_the_files(tmp_path, channels):
    images = {"a": random_images(4, channels)}
    save_distilled(tmp_path, images, CLASS)
    assert torch.equal(seen_by_students(images, CLASS, 5), load_distilled(tmp_path, CLASS, 5, channels=channels)[0])
