"""One tree of class folders is cut by a stated ratio and seed: stratified, the same everywhere, part of the fingerprint."""

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import UserError
from harness.data import open_source

CLASSES = ("denseresidential", "airplane")


@pytest.fixture
def root(tmp_path):
    """UCMerced_LandUse/Images/CLASS/CLASS00.tif: ten and five images, some a few pixels off square, as the original."""
    rng = np.random.default_rng(0)
    for class_id, num in zip(CLASSES, (10, 5), strict=True):
        folder = tmp_path / "UCMerced_LandUse" / "Images" / class_id
        folder.mkdir(parents=True)
        for i in range(num):
            pixels = rng.integers(0, 256, (24 + i % 3, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{class_id}{i:02d}.tif")
    return tmp_path


def open_ucm(root, class_ids=CLASSES, **options):
    given = {"kind": "split_folder", "root": "UCMerced_LandUse/Images", "train_share": 0.8, **options}
    return open_source(given, class_ids, root)


def sides(source):
    return {name: {c: source.split(name).names(c) for c in CLASSES} for name in ("train", "test")}


def test_every_class_is_cut_by_the_ratio_and_nothing_is_on_both_sides(root):
    source = open_ucm(root)
    assert source.split("train").num_per_class == {"denseresidential": 8, "airplane": 4}
    assert source.split("test").num_per_class == {"denseresidential": 2, "airplane": 1}
    for c in CLASSES:
        train, test = sides(source)["train"][c], sides(source)["test"][c]
        assert not set(train) & set(test)
        assert train == sorted(train)
    assert "12 train / 3 test, our split: stratified, 80% training, seed 0" in source.describe()


def test_tiff_images_are_read(root):
    images, labels = open_ucm(root).split("test").tensors(size=16, crop="resize")
    assert images.shape == (3, 3, 16, 16)
    assert labels.tolist() == [0, 0, 1]


def test_the_split_is_the_same_on_every_machine(root):
    """Recorded once: whoever changes the drawing changes every number of these suites, and must raise their versions."""
    assert sides(open_ucm(root))["test"] == {
        "denseresidential": ["denseresidential03.tif", "denseresidential06.tif"],
        "airplane": ["airplane01.tif"],
    }


def test_ratio_and_seed_are_part_of_the_fingerprint(root):
    sources = [open_ucm(root), open_ucm(root, split_seed=1), open_ucm(root, train_share=0.5)]
    sources.append(open_ucm(root, CLASSES[::-1]))
    assert len({source.fingerprint() for source in sources}) == 4
    assert sides(sources[0]) != sides(sources[1])
    assert open_ucm(root).fingerprint() == sources[0].fingerprint()


def test_one_image_stays_on_either_side(root):
    for share in (0.01, 0.99):
        source = open_ucm(root, train_share=share)
        assert all(n >= 1 for name in ("train", "test") for n in source.split(name).num_per_class.values())


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_a_ratio_that_leaves_a_side_empty_is_refused(root, share):
    with pytest.raises(UserError, match="train_share"):
        open_ucm(root, train_share=share)


def test_what_is_missing_is_told(root, tmp_path):
    with pytest.raises(UserError, match=r"does not exist\. Put the data there, as CLASS.* It comes from UC Merced"):
        open_ucm(tmp_path / "nowhere", origin="UC Merced").check()
    with pytest.raises(UserError, match="no folder for 1 of 2 classes: beach"):
        open_ucm(root, ("airplane", "beach")).check()
    for i in range(4):
        (root / "UCMerced_LandUse" / "Images" / "airplane" / f"airplane{i:02d}.tif").unlink()
    with pytest.raises(UserError, match="one image in airplane; a split needs two"):
        open_ucm(root).check()
