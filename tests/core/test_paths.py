"""Names that somebody else wrote: what stays below its folder, and what does not."""

import os

import pytest

from harness.core.errors import UserError
from harness.core.paths import below, is_plain, is_regular, plain_name, regular_files


@pytest.mark.parametrize("name", ["a", "a/b.png", "class 1/00000.png", "…/ü", "a..b", ".hidden", "./a"])
def test_a_plain_path_stays_as_it_is(name, tmp_path):
    assert is_plain(name)
    assert below(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "a/../../b", "/a", "//a", "a\\b", "C:/a", "C:a", "a\0", "a\nb", "x" * 256, None, 3, ["a"]],
)
def test_what_may_lie_elsewhere_is_refused(name, tmp_path):
    assert not is_plain(name)
    with pytest.raises(UserError, match="not a plain"):
        below(tmp_path, name)
    with pytest.raises(UserError, match="not a plain"):
        plain_name(name)


def test_a_name_has_one_part():
    assert plain_name("00000.png") == "00000.png"
    with pytest.raises(UserError, match="not a plain file or folder name"):
        plain_name("a/b")


def test_a_link_on_the_way_is_refused_and_one_above_the_folder_is_not(tmp_path):
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    assert below(tmp_path / "linked", "inner/a") == tmp_path / "linked" / "inner" / "a"
    with pytest.raises(UserError, match="is a symbolic link"):
        below(tmp_path, "linked/inner/a")


def test_only_regular_files_are_listed(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "d.txt").mkdir()
    os.mkfifo(tmp_path / "c.txt")
    assert regular_files(tmp_path, "*.txt") == [tmp_path / "a.txt"]
    assert not is_regular(tmp_path / "b.txt")
    (tmp_path / "d.txt" / "folder").symlink_to(tmp_path)
    assert regular_files(tmp_path / "d.txt" / "folder", "*.txt") == []
