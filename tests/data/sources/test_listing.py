"""Listings of large trees are kept, and never believed once the folder says otherwise."""

import hashlib
import os

import pytest

from harness.core.errors import UserError
from harness.data import open_source
from harness.data.sources.listing import ClassFolder, KeptListings, cache_folder, list_folder

CLASSES = ("n02", "n01")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep listings from ten files on, in a folder of the test's own."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.data.sources.folder_reader.KEEP_FROM", 10)
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path):
    """A tree of twenty training and four test images."""
    for split, num in (("train", 10), ("val", 2)):
        for c in CLASSES:
            folder = tmp_path / "set" / split / c
            folder.mkdir(parents=True)
            for i in range(num):
                (folder / f"{i}.JPEG").write_bytes(b"x" * (i + 1))
            age(folder)
    return tmp_path


def age(folder):
    """Let a folder be an hour old."""
    then = folder.stat().st_mtime_ns - 3600 * 10**9
    os.utime(folder, ns=(then, then))
    return then


def opened(tree):
    return open_source({"kind": "image_folder", "root": "set"}, CLASSES, tree)


def test_the_fingerprint_is_the_same_formula_kept_or_not(tree):
    digest = hashlib.sha256(b"image_folder 1\n")
    for split, num in (("train", 10), ("test", 2)):
        for c in CLASSES:
            digest.update(f"{split}\x1f{c}\x1f{num}\n".encode())
            for i in range(num):
                digest.update(f"{i}.JPEG\x1f{i + 1}\n".encode())

    assert [opened(tree).fingerprint() for _ in range(3)] == [digest.hexdigest()] * 3


def test_a_large_tree_is_listed_once(tree, monkeypatch):
    first = opened(tree)
    first.check()

    def refuse(path, extensions):
        raise AssertionError(f"{path} is listed again")

    monkeypatch.setattr("harness.data.sources.listing.list_folder", refuse)
    again = opened(tree).split("train")
    assert again.names("n01") == first.split("train").names("n01")
    assert again.num_per_class == {"n02": 10, "n01": 10}


def test_a_small_split_is_not_kept(tree, cache):
    opened(tree).check()
    assert len(list(cache.rglob("*"))) == 2 + 2  # the folders, and the training classes' two files


def add(tree):
    (tree / "set" / "train" / "n01" / "new.JPEG").write_bytes(b"x")


def remove(tree):
    (tree / "set" / "train" / "n01" / "9.JPEG").unlink()


def rename(tree):
    os.rename(tree / "set" / "train" / "n01" / "9.JPEG", tree / "set" / "train" / "n01" / "a.JPEG")


def replace(tree):
    (tree / "other").write_bytes(b"longer than before")
    os.replace(tree / "other", tree / "set" / "train" / "n01" / "5.JPEG")


def rewrite_all(tree):
    for path in (tree / "set" / "train" / "n01").iterdir():
        path.write_bytes(b"resized in place")


def test_a_folder_that_is_just_being_filled_is_not_kept(tree, cache):
    add(tree)
    opened(tree).check()
    assert len([path for path in cache.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("change", [add, remove, rename, replace, rewrite_all])
def test_a_change_is_seen_although_a_listing_was_kept(tree, change):
    before = opened(tree).fingerprint()
    change(tree)
    assert opened(tree).fingerprint() != before


def test_listing_anew_sees_a_single_file_overwritten_in_place(tree):
    before = opened(tree).fingerprint()
    (tree / "set" / "train" / "n01" / "1.JPEG").write_bytes(b"same folder, same name, other size")
    source = opened(tree)
    source.index(anew=True)

    assert source.fingerprint() != before
    assert opened(tree).fingerprint() == source.fingerprint()


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"[1]\nxx", b"\xff\xfe", "cut", "longer"])
def test_a_damaged_listing_is_made_anew(tree, cache, damage):
    before = opened(tree).fingerprint()
    for path in cache.rglob("*"):
        if path.is_file():
            whole = path.read_bytes()
            path.write_bytes({"cut": whole[:-3], "longer": whole + b"x"}.get(damage, damage))
    assert opened(tree).fingerprint() == before


def test_a_cache_that_cannot_be_written_costs_time_only(tree, monkeypatch):
    (tree / "file").write_text("no folder")
    monkeypatch.setenv("HARNESS_CACHE", str(tree / "file"))
    assert opened(tree).fingerprint() == opened(tree).fingerprint()


def test_names_that_are_no_text_survive(tmp_path):
    folder = tmp_path / "set" / "c"
    folder.mkdir(parents=True)
    names = [b"\xff\xfe.JPEG", "ü.jpg".encode(), b"a\nb.png"]
    for name in names:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"x")
    listed = list_folder(folder, (".jpeg", ".jpg", ".png"))
    kept = KeptListings(tmp_path / "set", (".jpeg",))
    kept.save("c", listed, age(folder))

    assert listed.raw_names == sorted(names)
    assert kept.load("c").names == listed.names


def test_an_empty_folder_has_no_names():
    assert ClassFolder.of([], 3).names == []


def test_other_endings_have_listings_of_their_own(tree):
    folder = tree / "set" / "train"
    KeptListings(folder, (".jpeg",)).save("n01", ClassFolder.of([], 0), age(folder / "n01"))
    assert KeptListings(folder, (".png",)).load("n01") is None


def test_the_cache_lies_with_the_user_not_with_the_data(monkeypatch, tmp_path):
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "harness"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "harness"


def test_a_folder_of_empty_files_is_told_with_the_likely_cause(tree):
    for path in (tree / "set").rglob("*.JPEG"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"20 unreadable entries: .*\. This many empty files .*: unpack the data"):
        opened(tree).check()


def test_archives_that_were_not_unpacked_are_told(tree):
    (tree / "set" / "train" / "n01.tar").write_bytes(b"x")
    with pytest.raises(UserError, match=r"contains 1 \.tar files: unpack each"):
        open_source({"kind": "image_folder", "root": "set"}, (*CLASSES, "n03"), tree).check()
