"""Class lists: the order is the label order; mistakes name their line."""

import pytest

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.core.io import data_folder
from harness.data import read_class_list


def write(tmp_path, text: str):
    path = tmp_path / "classes.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_order_of_the_file_is_the_label_order(tmp_path):
    path = write(tmp_path, "\ufeff# dogs\nn02 Australian terrier\n\nn01\tBorder terrier # nice\r\nn03  # no name\n")

    classes = read_class_list(path)

    assert classes == (
        ClassInfo("n02", 0, "Australian terrier"),
        ClassInfo("n01", 1, "Border terrier"),
        ClassInfo("n03", 2, "n03"),
    )


def test_a_tab_lets_an_id_contain_spaces(tmp_path):
    assert read_class_list(write(tmp_path, "dense residential\tDense residential area\n"))[0].id == "dense residential"


@pytest.mark.parametrize(
    ("name", "num"), [("digits", 10), ("imagewoof", 10), ("imagenette", 10), ("imagenet100", 100), ("imagenet1k", 1000)]
)
def test_the_lists_that_we_ship_can_be_read(name, num):
    assert len(read_class_list(data_folder("datasets") / "classes" / f"{name}.txt")) == num


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\na\n", r"line 3: 'a' is a duplicate class id .first on line 1."),
        ("# nothing\n\n", "is empty"),
        ("a\n../b\n", r"line 2: '../b' is not a valid folder name"),
    ],
)
def test_a_wrong_list_says_where(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_class_list(write(tmp_path, text))


def test_a_missing_or_binary_file_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_class_list(tmp_path / "absent.txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_class_list(tmp_path)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        read_class_list(tmp_path / "binary.txt")
