"""ImageNet's flat `val` gives the same split as class folders; what does not tell the classes for sure is refused."""

import os
import shutil

import numpy as np
import pytest

from harness.core.errors import UserError
from harness.data import open_source
from tests.helpers.archive_server import photograph

KIT_ORDER = ("n03", "n01", "n04", "n02")  # not sorted, like the development kit's
CLASS_OF = {1: "n01", 2: "n03", 3: "n02", 4: "n01", 5: "n04"}  # image number -> class; n04 is not in the suite
CLASSES = ("n03", "n01", "n02")
KIT = "ILSVRC2012_validation_ground_truth.txt"


def name(number):
    return f"ILSVRC2012_val_{number:08d}"


@pytest.fixture
def tree(tmp_path):
    """A training split, a flat `val`, and `sorted/val` with the same images in class folders."""
    for c in CLASSES:
        folder = tmp_path / "flat" / "train" / c
        folder.mkdir(parents=True)
        (folder / "0.JPEG").write_bytes(photograph(0))
    shutil.copytree(tmp_path / "flat", tmp_path / "sorted")
    (tmp_path / "flat" / "val").mkdir()
    for number, c in CLASS_OF.items():
        image = photograph(number, 16 + number)
        (tmp_path / "flat" / "val" / f"{name(number)}.JPEG").write_bytes(image)
        (tmp_path / "sorted" / "val" / c).mkdir(parents=True, exist_ok=True)
        (tmp_path / "sorted" / "val" / c / f"{name(number)}.JPEG").write_bytes(image)
    return tmp_path


def opened(tree, root="flat", **options):
    return open_source({"kind": "image_folder", "root": root, **options}, CLASSES, tree)


def write_csv(tree):
    rows = [f"{name(n)},{c} 1 2 3 4 n99 5 6 7 8 \n" for n, c in reversed(CLASS_OF.items())]
    (tree / "flat" / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(rows))


def write_pairs(tree, text=None):
    lines = [f"{name(n)}.JPEG {c}" for n, c in CLASS_OF.items()]
    (tree / "flat" / "val" / "val_labels.txt").write_text(text or "# name class\n" + "\n".join(lines))


def write_kit(tree, folder="."):
    place = tree / "flat" / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / KIT).write_text("".join(f"{KIT_ORDER.index(c) + 1}\n" for c in CLASS_OF.values()))
    return place


def write_kit_with_list(tree):
    (write_kit(tree) / "ILSVRC2012_ids_in_devkit_order.txt").write_text("\n".join(f"{c} name" for c in KIT_ORDER))


def write_kit_with_meta(tree):
    """As the kit's own: numbered leaves, then inner nodes of WordNet."""
    from scipy.io import savemat

    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [(i, c, "word", 0) for i, c in enumerate(KIT_ORDER, start=1)] + [(5, "n99", "inner", 3)]
    place = write_kit(tree, "ILSVRC2012_devkit_t12/data")
    savemat(place / "meta.mat", {"synsets": np.array(rows, dtype=fields).reshape(-1, 1)})


@pytest.mark.parametrize("write", [write_csv, write_pairs, write_kit_with_list, write_kit_with_meta])
def test_a_flat_folder_with_labels_is_the_same_split_as_class_folders(tree, write):
    write(tree)
    flat, by_class = opened(tree), opened(tree, "sorted")

    assert flat.fingerprint() == by_class.fingerprint()
    images, labels = flat.split("test").tensors(size=8)
    expected_images, expected_labels = by_class.split("test").tensors(size=8)
    assert images.equal(expected_images)
    assert labels.tolist() == expected_labels.tolist() == [0, 1, 1, 2]


def test_a_file_of_any_name_can_be_given(tree):
    write_csv(tree)
    (tree / "flat" / "LOC_val_solution.csv").rename(tree / "flat" / "mine.csv")

    assert len(opened(tree, test_labels="mine.csv").split("test")) == 4
    with pytest.raises(UserError, match=r"absent\.csv is not a file"):
        opened(tree, test_labels="absent.csv").check()


def test_without_labels_the_message_says_what_is_expected(tree):
    with pytest.raises(UserError) as caught:
        opened(tree).check()
    text = str(caught.value)
    assert all(word in text for word in ("LOC_val_solution.csv", "val_labels.txt", KIT, "meta.mat", "data.test_labels"))
    assert str(tree / "flat" / "val") in text


def test_the_kits_numbers_alone_tell_no_class(tree):
    write_kit(tree)
    with pytest.raises(UserError, match=r"class numbers.*meta\.mat"):
        opened(tree).check()


def test_a_sorted_list_is_not_the_kits_order(tree):
    (write_kit(tree) / "ILSVRC2012_ids_in_devkit_order.txt").write_text("\n".join(sorted(KIT_ORDER)))
    with pytest.raises(UserError, match="would give wrong classes"):
        opened(tree).check()


def test_another_meta_file_is_refused(tree):
    (write_kit(tree) / "meta.mat").write_bytes(b"not MATLAB")
    with pytest.raises(UserError, match="is not the development kit's"):
        opened(tree).check()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{name(1)}.JPEG 65\n", "line 1: class '65' is a number"),
        (f"{name(1)}.JPEG n01\n{name(1)}.JPEG n02\n", "line 2: .* is n02 here and n01 above"),
        (f"{name(1)}.JPEG\n", "line 1: expected 'IMAGE CLASS'"),
        ("# nothing\n", "name no image"),
        (f"{name(1)}.JPEG n01\n", "names no images of 2 of 3 classes: n03, n02"),
        ("".join(f"{name(n)}.JPEG n0{n % 3 + 1}\n" for n in range(1, 9)), r"lacks images listed in .*, of: n03"),
        ("".join(f"{name(n)}.JPEG {c}\n" for n, c in CLASS_OF.items() if n < 4), "has 2 images that are not listed in"),
    ],
)
def test_labels_that_do_not_fit_are_told(tree, text, told):
    write_pairs(tree, text)
    with pytest.raises(UserError, match=told):
        opened(tree).check()


@pytest.mark.parametrize("line", ["0", "5", "x"])
def test_a_number_that_the_kit_has_not_is_told(tree, line):
    write_kit_with_list(tree)
    (tree / "flat" / KIT).write_text(f"1\n{line}\n")
    with pytest.raises(UserError, match=r"line 2: .* not one of the kit's 4 class numbers"):
        opened(tree).check()


def test_a_large_flat_folder_is_listed_once(tree, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tree / "cache"))
    monkeypatch.setattr("harness.data.sources.folder_reader.KEEP_FROM", 2)
    write_csv(tree)
    os.utime(tree / "flat" / "val", (0, 0))
    before = opened(tree).fingerprint()
    monkeypatch.setattr("harness.data.sources.folder_reader.list_folder", None)
    assert opened(tree).fingerprint() == before
