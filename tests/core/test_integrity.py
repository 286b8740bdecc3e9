"""An artefact that is no longer what was written is noticed when it is read, set aside, and made again."""

import errno
import json
import logging
import shutil
import tempfile
from pathlib import Path

import fsspec
import pytest

from harness.core import integrity
from harness.core.errors import UserError
from harness.core.integrity import MANIFEST, DamagedArtefact
from harness.core.store import Store
from tests.helpers.damage import as_new_process, edit_json, flip_bit, set_aside

KEY = "0123456789abcdef" * 2


def fill(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text("hello")
    return {"result": {"top1_last": 73.5, "loss": float("nan"), 5: "a key that JSON makes a text"}}


@pytest.fixture
def store(tmp_path):
    """A store with one artefact, as another process finds it."""
    made = Store(tmp_path)
    made.write("fit", KEY, fill)
    as_new_process()
    return made


def test_a_flipped_bit_is_noticed_set_aside_and_said(store, tmp_path, caplog):
    flip_bit(store.path("fit", KEY) / "sub" / "a.txt")
    assert store.has("fit", KEY), "sizes alone do not tell"
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(DamagedArtefact, match=r"sub/a.txt has different content") as error,
    ):
        store.fetch("fit", KEY)
    assert (error.value.kind, error.value.key) == ("fit", KEY)
    assert not store.has("fit", KEY)
    (aside,) = set_aside(tmp_path)
    assert (aside / "sub" / "a.txt").read_bytes() == b"hemlo"
    assert str(aside) in store.damaged[0]
    assert store.damaged == caplog.messages

    with pytest.raises(FileNotFoundError, match="no artefact"):
        store.fetch("fit", KEY)
    store.write("fit", KEY, fill)
    assert store.intact("fit", KEY)


def test_sums_are_compared_once_in_a_process_and_again_when_it_was_made_again(store, monkeypatch):
    read, real = [], integrity.file_sha256
    monkeypatch.setattr(integrity, "file_sha256", lambda path: read.append(path.name) or real(path))
    for _ in range(3):
        assert store.intact("fit", KEY)
        assert Store(store.root).fetch("fit", KEY).is_dir()
    assert read == ["a.txt"]
    shutil.copytree(store.path("fit", KEY), store.root / "copy")
    store.path("fit", KEY).rename(store.root / "moved")
    (store.root / "copy").rename(store.path("fit", KEY))
    assert store.intact("fit", KEY)
    assert read == ["a.txt", "a.txt"]


def test_what_this_process_wrote_is_not_read_again(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write("fit", KEY, fill)
    monkeypatch.setattr(integrity, "file_sha256", lambda path: pytest.fail("read again"))
    assert store.intact("fit", KEY)


def test_a_file_that_vanishes_after_the_first_look_is_noticed(store):
    assert store.intact("fit", KEY)
    (store.path("fit", KEY) / "sub" / "a.txt").unlink()
    assert not store.intact("fit", KEY)
    assert "sub/a.txt is missing" in store.damaged[0]


def test_an_edited_manifest_counts_as_damaged(store, tmp_path):
    edit_json(store.path("fit", KEY) / MANIFEST, top1_last=99.9)
    assert not store.has("fit", KEY)
    with pytest.raises(DamagedArtefact, match=r"no artefact .* that is undamaged"):
        store.manifest("fit", KEY)
    assert not store.intact("fit", KEY)
    assert "was changed after it was written" in store.damaged[0]
    assert '"top1_last": 99.9' in (set_aside(tmp_path)[0] / MANIFEST).read_text()


def test_a_manifest_that_is_only_laid_out_otherwise_is_not_edited(store):
    path = store.path("fit", KEY) / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
    assert store.intact("fit", KEY)


def test_a_manifest_from_before_sums_of_its_own_stays_good(store):
    path = store.path("fit", KEY) / MANIFEST
    value = json.loads(path.read_text())
    del value["sum"]
    path.write_text(json.dumps(value))
    assert store.intact("fit", KEY)
    assert store.manifest("fit", KEY)["result"]["top1_last"] == 73.5


def test_writing_sets_aside_what_is_there_and_damaged(store, tmp_path):
    flip_bit(store.path("fit", KEY) / "sub" / "a.txt")
    store.write("fit", KEY, fill)
    assert store.intact("fit", KEY)
    assert len(set_aside(tmp_path)) == 1


def test_what_another_process_makes_again_meanwhile_is_not_set_aside(store, tmp_path, monkeypatch):
    real, calls = integrity.flaw, []

    def slow(folder, *, sums):
        calls.append(folder)
        if len(calls) == 1:
            flip_bit(folder / "sub" / "a.txt")
            told = real(folder, sums=True)
            shutil.rmtree(folder)
            Store(tmp_path).write("fit", KEY, lambda new: {**fill(new), "title": "made by another process"})
            return told
        return real(folder, sums=sums)

    monkeypatch.setattr(integrity, "flaw", slow)
    assert store.intact("fit", KEY)
    assert set_aside(tmp_path) == []


def test_where_nothing_can_be_renamed_the_damage_is_said_nevertheless(store, monkeypatch):
    flip_bit(store.path("fit", KEY) / "sub" / "a.txt")

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refuse)
    assert not store.intact("fit", KEY)
    assert "could not be moved aside" in store.damaged[0]


def test_a_file_that_may_not_be_read_is_no_damage(store, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(integrity, "file_sha256", refuse)
    with pytest.raises(UserError, match=r"a.txt: cannot be read \(Permission denied\). Ask its owner"):
        store.intact("fit", KEY)
    assert set_aside(tmp_path) == []


@pytest.fixture
def uri(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    uri = f"memory://{tmp_path.name}"
    Store(uri).write("fit", KEY, fill)
    as_new_process()
    yield uri
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_a_damaged_copy_of_a_remote_artefact_is_copied_again(uri):
    flip_bit(Store(uri).path("fit", KEY) / "sub" / "a.txt")
    assert (Store(uri).fetch("fit", KEY) / "sub" / "a.txt").read_text() == "hello"


def test_an_artefact_that_is_damaged_at_the_remote_is_made_again(uri):
    filesystem, base = fsspec.core.url_to_fs(uri)
    filesystem.pipe(f"{base}/store/fit/{KEY}/sub/a.txt", b"jello")
    shutil.rmtree(Store(uri).root)
    store = Store(uri)
    assert store.intact("fit", KEY), "nothing is copied to answer this"
    with pytest.raises(DamagedArtefact, match="has different content"):
        store.fetch("fit", KEY)
    assert not store.has("fit", KEY)
    assert not Store(uri).has("fit", KEY)
    store.write("fit", KEY, fill)
    shutil.rmtree(store.root)
    assert (Store(uri).fetch("fit", KEY) / "sub" / "a.txt").read_text() == "hello"


def test_an_edited_manifest_at_the_remote_is_noticed_without_a_copy(uri):
    filesystem, base = fsspec.core.url_to_fs(uri)
    path = f"{base}/store/fit/{KEY}/{MANIFEST}"
    filesystem.pipe(path, filesystem.cat_file(path).replace(b"73.5", b"99.9"))
    with pytest.raises(DamagedArtefact, match="was changed after it was written"):
        Store(uri).manifest("fit", KEY)
    assert not Store(uri).has("fit", KEY)
