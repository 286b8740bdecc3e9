"""Tuning sees a part of the training split, is scored on the rest of it, and never opens the test split."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import UserError
from harness.data.sources.base import open_source
from harness.data.sources.digits import CLASS_IDS, Digits
from harness.data.split import groups_of_equals

DIGITS = {"kind": "validation", "of": {"kind": "digits"}, "share": 0.25, "seed": 3}


def opened(**changes):
    return open_source({**DIGITS, **changes}, CLASS_IDS, ".")


def test_the_two_parts_are_the_training_split_each_class_by_its_share():
    whole = open_source({"kind": "digits"}, CLASS_IDS, ".").split("train")
    source = opened()
    train, test = source.split("train"), source.split("test")
    for class_id in CLASS_IDS:
        assert sorted(train.names(class_id) + test.names(class_id)) == whole.names(class_id)
        assert abs(test.num_per_class[class_id] - 0.25 * whole.num_per_class[class_id]) <= 2
    assert test.labels == whole.labels


def test_the_test_split_is_never_opened(monkeypatch):
    """A tuner that measured on it would be worth nothing."""
    split = Digits.split

    def only_train(self, name):
        assert name == "train", "the test split was opened"
        return split(self, name)

    monkeypatch.setattr(Digits, "split", only_train)
    source = opened()
    source.check()
    assert source.describe()
    assert source.fingerprint()
    for name in ("train", "test"):
        assert len(source.split(name).tensors(size=8)[0])
    with pytest.raises(ValueError, match="'real test'"):
        source.split("real test")


def test_another_cut_is_other_data():
    prints = {opened(**change).fingerprint() for change in ({}, {"seed": 4}, {"share": 0.3})}
    assert len({*prints, open_source({"kind": "digits"}, CLASS_IDS, ".").fingerprint()}) == 4
    first, second = (opened(seed=seed).split("test").names("0") for seed in (3, 4))
    assert first != second
    assert first == opened().split("test").names("0")


@pytest.fixture
def folder(tmp_path):
    """Two classes of twelve images; of the first, images 0 to 7 are four images, each there twice."""
    rng = np.random.default_rng(0)
    for class_id in ("a", "b"):
        for number in range(12):
            place = tmp_path / "train" / class_id / f"{number:02d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            if class_id == "a" and number < 8 and number % 2:
                place.write_bytes(place.with_name(f"{number - 1:02d}.png").read_bytes())
            else:
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place)
    (tmp_path / "test" / "a").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("seed", range(6))
def test_no_copy_of_an_image_is_on_both_sides(folder, seed):
    inner = {"kind": "image_folder", "root": ".", "test_dir": "test"}
    source = open_source({"kind": "validation", "of": inner, "share": 0.5, "seed": seed}, ("a", "b"), folder)
    assert source.whole.split("train").copies("a") == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert source.whole.split("train").copies("b") == []
    sides = [{path.stem for path in map(Path, source.split(name).names("a"))} for name in ("train", "test")]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 12
    for number in range(0, 8, 2):
        copies = {f"{number:02d}", f"{number + 1:02d}"}
        assert any(copies <= side for side in sides)


def test_a_class_of_copies_cannot_be_cut(folder):
    for path in (folder / "train" / "b").iterdir():
        path.write_bytes((folder / "train" / "b" / "00.png").read_bytes())
    inner = {"kind": "image_folder", "root": ".", "test_dir": "test"}
    source = open_source({"kind": "validation", "of": inner}, ("a", "b"), folder)
    with pytest.raises(UserError, match="leaves no images of class b in one of the splits: it has 12 training images"):
        source.split("train")


def test_copies_are_found_among_images_without_files():
    assert groups_of_equals(["x", "y", "x", "z", "y", "x"]) == [[0, 2, 5], [1, 4]]
    whole = open_source({"kind": "digits"}, CLASS_IDS, ".").split("train")
    for class_id in CLASS_IDS:
        for positions in whole.copies(class_id):
            images = whole.load(class_id, positions, size=32)
            assert (images == images[:1]).all()


def test_a_share_that_leaves_nothing_is_refused():
    with pytest.raises(UserError, match="share"):
        opened(share=0.0)
    with pytest.raises(UserError, match="source 'validation'"):
        opened(share=1.5)
    with pytest.raises(UserError, match="unknown source"):
        opened(of={"kind": "digit"})
