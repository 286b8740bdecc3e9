"""What can be taken from a split, and that labels stay those of the full list."""

import pytest
import torch

from harness.core.errors import UserError
from harness.data import open_source

ORDER = ("n03", "n01", "n02")


@pytest.fixture
def split(make_tree):
    return open_source({"kind": "image_folder", "root": "set"}, ORDER, make_tree(ORDER, num_train=7)).split("train")


def test_labels_follow_the_class_list_not_the_alphabet(split):
    images, labels = split.tensors(size=8)

    assert labels.tolist() == [0] * 7 + [1] * 7 + [2] * 7
    assert torch.equal(images[:7], split.load("n03", size=8))


def test_restrict_keeps_labels_and_order(split):
    part = split.restrict(["n02", "n01"])

    assert part.class_ids == ("n01", "n02")
    assert part.tensors(size=4)[1].tolist() == [1] * 7 + [2] * 7
    with pytest.raises(ValueError, match="'n03' is not in this split"):
        part.load("n03", size=4)


def test_select_renumbers_images_and_wants_every_class(split):
    chosen = split.select({"n03": [5, 2], "n01": [], "n02": torch.tensor([0])})

    assert chosen.num_per_class == {"n03": 2, "n01": 0, "n02": 1}
    assert chosen.names("n03") == ["5.jpg", "2.jpg"]
    assert torch.equal(chosen.load("n03", [1], size=8), split.load("n03", [2], size=8))
    with pytest.raises(ValueError, match="names no images for"):
        split.select({"n03": [0]})
    with pytest.raises(ValueError, match="images 0 to 6"):
        split.select({"n03": [7], "n01": [], "n02": []})


def test_load_takes_any_order_and_refuses_other_indices(split):
    assert torch.equal(split.load("n01", [3, 0, 3], size=8), split.load("n01", size=8)[[3, 0, 3]])
    assert split.load("n01", [], size=8).shape == (0, 3, 8, 8)
    with pytest.raises(ValueError, match="but not \\[-1\\]"):
        split.load("n01", [-1], size=8)


def test_holdout_is_stratified_disjoint_and_repeatable(split):
    rest, held = split.holdout(0.3, seed=0)

    for c in ORDER:
        assert held.num_per_class[c] == 2
        assert sorted(rest.names(c) + held.names(c)) == split.names(c)
    assert [held.names(c) for c in ORDER] == [split.holdout(0.3, seed=0)[1].names(c) for c in ORDER]
    assert [held.names(c) for c in ORDER] != [split.holdout(0.3, seed=1)[1].names(c) for c in ORDER]
    assert split.restrict(["n01"]).holdout(0.3, seed=0)[1].names("n01") == held.names("n01")


def test_holdout_leaves_an_image_on_either_side(split):
    rest, held = split.holdout(0.99, seed=0)
    assert set(rest.num_per_class.values()) == {1}
    rest, held = split.holdout(0.01, seed=0)
    assert set(held.num_per_class.values()) == {1}
    with pytest.raises(UserError, match="fewer than 2"):
        held.holdout(0.5, seed=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        split.holdout(0.0, seed=0)


def test_progress_is_reported(split):
    seen = []
    split.tensors(size=4, report=lambda *told: seen.append(told))
    assert seen[-1] == ("reading", 21, 21, "image")
