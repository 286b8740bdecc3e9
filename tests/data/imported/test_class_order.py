"""Which class a given folder or number is: told, or asked for, never guessed."""

import pytest

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data.imported.class_order import classes_of_folders, classes_of_numbers

IDS = ("n03", "n01", "n02")
CLASSES = tuple(ClassInfo(c, label, f"animal {label}") for label, c in enumerate(IDS))
ALIKE = tuple(ClassInfo(c, label, c) for label, c in enumerate(sorted(IDS)))


def test_folders_called_by_class_ids_need_no_order():
    found, told = classes_of_folders(["n01", "n02", "n03"], CLASSES, None, "here")
    assert found == {c: c for c in IDS}
    assert "class ids" in told


def test_numbers_that_may_mean_two_orders_are_asked_about():
    with pytest.raises(UserError, match=r"label order starts with n03, n01, n02, the sorted .* with n01, n02, n03"):
        classes_of_folders(["00000", "00001", "00002"], CLASSES, None, "here")
    assert classes_of_folders(["00000", "00001", "00002"], ALIKE, None, "here")[0]["n02"] == "00001"


def test_numbers_mean_what_the_user_says_and_the_mapping_is_told(tmp_path):
    names = ["00002", "00000", "00001"]
    by_label, told = classes_of_folders(names, CLASSES, "labels", "here")
    assert by_label == {"n03": "00000", "n01": "00001", "n02": "00002"}
    assert "00000 = n03 (animal 0), 00001 = n01 (animal 1)" in told
    assert classes_of_folders(names, CLASSES, "sorted", "here")[0] == {"n01": "00000", "n02": "00001", "n03": "00002"}
    listed = tmp_path / "theirs.txt"
    listed.write_text("n02\nn03\nn01\n")
    by_file, told = classes_of_folders(names, CLASSES, str(listed), "here")
    assert by_file == {"n02": "00000", "n03": "00001", "n01": "00002"}
    assert "theirs.txt" in told


@pytest.mark.parametrize(
    ("names", "order", "told"),
    [
        (["n01", "n02", "n03", "n3"], None, r"1 folders are not classes of the suite: n3. Did you mean 'n03'"),
        (["n01", "n03"], None, r"1 of 3 classes are missing: n02"),
        (["cat", "dog", "cow"], None, r"3 folders are not classes of the suite"),
        (["0", "1"], "labels", r"2 numbers from 0 to 1; expected each number from 0 to 2 once"),
        (["1", "2", "3"], "labels", r"numbers from 1 to 3"),
        (["n01", "n02", "n03"], "sorted", r"--class-order sorted applies only to folders named by numbers"),
        (["0", "1", "2"], "alphabetic", r"expected labels, sorted, or a file; file not found"),
    ],
)
def test_folders_that_do_not_fit_are_named(names, order, told):
    with pytest.raises(UserError, match=told):
        classes_of_folders(names, CLASSES, order, "here")


def test_a_list_of_other_classes_is_refused(tmp_path):
    listed = tmp_path / "theirs.txt"
    listed.write_text("n02\nn03\nn09\n")
    with pytest.raises(UserError, match=r"1 lines are not classes of the suite: n09. .*missing: n01"):
        classes_of_numbers(CLASSES, str(listed), "here")
