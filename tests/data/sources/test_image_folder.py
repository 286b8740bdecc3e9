"""Folders in ImageNet's layout: label order, byte order, and one message for all that is missing."""

import json
import os
import shutil
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.data import open_source

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "protocol.json").read_text())["selection_first_files"]
ORDER = ("n03", "n01", "n02")


def open_set(data_root, class_ids=ORDER, **options):
    return open_source({"kind": "image_folder", "root": "set", **options}, class_ids, data_root)


@pytest.mark.parametrize("ipc", [1, 10, 20, 50])
def test_first_files_are_those_of_the_reference(tmp_path, ipc):
    for class_id in GOLDEN["class_list_order"]:
        folder = tmp_path / "set" / "train" / class_id
        folder.mkdir(parents=True)
        for i in range(100):
            (folder / f"{i}.png").write_bytes(b"x")
    split = open_set(tmp_path, tuple(GOLDEN["class_list_order"])).split("train")

    assert all(split.names(c)[:ipc] == GOLDEN["picked_per_class"][str(ipc)] for c in split.class_ids)
    assert [split.labels[c] for c in sorted(split.class_ids)] == GOLDEN["label_order_of_samples"]


def test_uppercase_sorts_before_lowercase(tmp_path):
    example = GOLDEN["second_example"]
    (tmp_path / "set" / "train" / "c").mkdir(parents=True)
    for name in example["available"]:
        (tmp_path / "set" / "train" / "c" / name).write_bytes(b"x")

    assert open_set(tmp_path, ("c",)).split("train").names("c")[: example["ipc"]] == example["picked"]


def test_everything_missing_is_told_at_once(make_tree):
    root = make_tree(("n03", "n01", "n04"))
    shutil.rmtree(root / "set" / "val" / "n01")
    for path in (root / "set" / "train" / "n01").iterdir():
        path.unlink()
    (root / "set" / "train" / "n03" / "0.jpg").write_bytes(b"")
    (root / "set" / "val" / "n03" / "gone.jpg").symlink_to(root / "nowhere.jpg")

    with pytest.raises(UserError) as caught:
        open_set(root, ("n03", "n01", "n02", "n4")).check()

    text = str(caught.value)
    assert "no folder for 2 of 4 classes: n02, n4" in text
    assert "no folder for 3 of 4 classes: n01, n02, n4" in text
    assert "no images in 1 of 4 class folders: n01" in text
    assert "0.jpg: empty file" in text
    assert "gone.jpg: a broken symbolic link" in text


def test_a_missing_folder_is_told_with_what_to_do(tmp_path, make_tree):
    with pytest.raises(UserError, match="Put the data there"):
        open_set(tmp_path / "absent").check()
    with pytest.raises(UserError, match="validation does not exist"):
        open_set(make_tree(ORDER), test_dir="validation").fingerprint()


def test_a_split_needs_only_its_own_folder(make_tree):
    root = make_tree(ORDER)
    shutil.rmtree(root / "set" / "val")

    assert len(open_set(root).split("train")) == 9
    with pytest.raises(UserError):
        open_set(root).split("test")


def test_other_files_are_ignored_and_counted(make_tree):
    root = make_tree(ORDER)
    folder = root / "set" / "train" / "n01"
    (folder / "notes.txt").write_text("x")
    (folder / "._0.jpg").write_bytes(b"x")
    (folder / "deeper.jpg").mkdir()
    (folder / "0.jpg").rename(folder / "0.JPEG")
    (root / "set" / "train" / "not_in_the_list").mkdir()
    source = open_set(root)

    assert source.split("train").names("n01") == ["0.JPEG", "1.jpg", "2.jpg"]
    assert "9 train images in train, 6 test images in val, 3 other entries ignored" in source.describe()


def test_links_are_followed(make_tree):
    root = make_tree(ORDER)
    linked = root.parent / "linked" / "set"
    linked.mkdir(parents=True)
    (linked / "train").symlink_to(root / "set" / "train")
    (linked / "val").mkdir()
    for c in ORDER:
        (linked / "val" / c).mkdir()
        (linked / "val" / c / "a.jpg").symlink_to(root / "set" / "val" / c / "0.jpg")

    assert open_set(linked.parent).split("test").tensors(size=8)[0].shape == (3, 3, 8, 8)


def test_the_fingerprint_knows_content_and_order_but_not_the_place(make_tree, tmp_path):
    root = make_tree(ORDER)
    before = open_set(root).fingerprint()
    shutil.copytree(root, tmp_path / "copy")

    assert open_set(tmp_path / "copy").fingerprint() == before
    assert open_set(root, sorted(ORDER)).fingerprint() != before
    with (tmp_path / "copy" / "set" / "val" / "n02" / "1.jpg").open("ab") as handle:
        handle.write(b"x")
    assert open_set(tmp_path / "copy").fingerprint() != before
    os.rename(root / "set" / "train" / "n01" / "0.jpg", root / "set" / "train" / "n01" / "9.jpg")
    assert open_set(root).fingerprint() != before


def test_a_broken_image_is_named_when_it_is_read(make_tree):
    root = make_tree(ORDER)
    (root / "set" / "train" / "n02" / "1.jpg").write_bytes(b"\xff\xd8\xff rubbish")

    with pytest.raises(UserError, match=r"n02.1\.jpg"):
        open_set(root).split("train").tensors(size=8)
