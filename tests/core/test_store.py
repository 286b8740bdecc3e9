"""An artefact is there whole or not at all, whoever writes it and whenever it is killed."""

import json
import os
import threading

import pytest

from harness.core.errors import UserError
from harness.core.store import MANIFEST, Store

KEY = "0123456789abcdef" * 2


def fill(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text("hello")
    return {"result": {"x": 1}}


def test_a_written_artefact_has_its_manifest_sizes_and_hashes(tmp_path):
    store = Store(tmp_path)
    store.write("fit", KEY, fill)
    manifest = store.manifest("fit", KEY)
    assert manifest["result"] == {"x": 1}
    assert manifest["files"]["sub/a.txt"]["size"] == 5
    assert store.has("fit", KEY)
    assert store.damage("fit", KEY) == ""


def test_a_job_that_raises_leaves_nothing(tmp_path):
    def broken(folder):
        (folder / "half.txt").write_text("half")
        raise RuntimeError("stop")

    store = Store(tmp_path)
    with pytest.raises(RuntimeError, match="stop"):
        store.write("fit", KEY, broken)
    assert not store.has("fit", KEY)
    assert list((tmp_path / "store" / "fit").iterdir()) == []


def test_a_truncated_file_makes_the_artefact_absent_and_writing_again_mends_it(tmp_path):
    store = Store(tmp_path)
    store.write("fit", KEY, fill)
    (store.path("fit", KEY) / "sub" / "a.txt").write_text("hel")
    assert not store.has("fit", KEY)
    store.write("fit", KEY, fill)
    assert store.has("fit", KEY)


def test_changed_bytes_of_equal_size_are_named(tmp_path):
    store = Store(tmp_path)
    store.write("fit", KEY, fill)
    (store.path("fit", KEY) / "sub" / "a.txt").write_text("jello")
    assert store.damage("fit", KEY) == "sub/a.txt has different content than was written"


def test_a_manifest_that_is_no_json_counts_as_absent(tmp_path):
    store = Store(tmp_path)
    store.write("fit", KEY, fill)
    (store.path("fit", KEY) / MANIFEST).write_text('{"files"')
    assert not store.has("fit", KEY)
    with pytest.raises(FileNotFoundError, match="no artefact"):
        store.manifest("fit", KEY)


def test_many_writers_of_one_key_leave_one_whole_artefact(tmp_path):
    errors = []

    def write():
        try:
            Store(tmp_path).write("fit", KEY, fill)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Store(tmp_path).damage("fit", KEY) == ""
    assert [p.name for p in (tmp_path / "store" / "fit").iterdir()] == [KEY]


def test_a_fresh_write_replaces_the_artefact(tmp_path):
    store = Store(tmp_path)
    store.write("fit", KEY, fill)
    store.write("fit", KEY, lambda folder: {"result": {"x": 2}}, replace=True)
    assert store.manifest("fit", KEY)["result"] == {"x": 2}


def test_a_remote_store_keeps_artefacts_for_a_machine_that_has_none(tmp_path):
    import shutil

    uri = f"memory://bucket-{tmp_path.name}"
    store = Store(uri)
    shutil.rmtree(store.root, ignore_errors=True)
    store.check_writable()
    store.write("fit", KEY, fill)
    shutil.rmtree(store.root)

    elsewhere = Store(uri)
    assert elsewhere.has("fit", KEY)
    assert (elsewhere.fetch("fit", KEY) / "sub" / "a.txt").read_text() == "hello"
    assert elsewhere.damage("fit", KEY) == ""
    shutil.rmtree(store.root)


def test_a_remote_artefact_without_manifest_does_not_exist(tmp_path):
    import fsspec

    uri = f"memory://bucket-{tmp_path.name}"
    filesystem, base = fsspec.core.url_to_fs(uri)
    filesystem.makedirs(f"{base}/store/fit/{KEY}")
    filesystem.pipe(f"{base}/store/fit/{KEY}/a.txt", b"half an upload")
    assert not Store(uri).has("fit", KEY)


def test_a_store_below_a_file_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot be written"):
        Store(tmp_path / "file" / "store").check_writable()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_leftovers_of_killed_runs_are_swept_and_the_folder_of_a_live_job_is_not(tmp_path):
    import multiprocessing

    store = Store(tmp_path)
    gone = multiprocessing.get_context("spawn").Process(target=print)
    gone.start()
    gone.join()

    def fill_while_another_run_sweeps(folder):
        left = folder.with_name(folder.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-"))
        left.mkdir()
        Store(tmp_path).sweep()
        assert not left.exists()
        return fill(folder)

    store.write("fit", KEY, fill_while_another_run_sweeps)
    assert [p.name for p in (tmp_path / "store" / "fit").iterdir()] == [KEY]


def test_the_manifest_is_canonical_json(tmp_path):
    store = Store(tmp_path)
    store.write("fit", KEY, fill)
    text = (store.path("fit", KEY) / MANIFEST).read_text()
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True)


def test_the_manifests_here_are_told_the_newest_first_without_what_is_being_written(tmp_path):
    store, keys = Store(tmp_path), [f"{n:032x}" for n in range(3)]
    for age, key in enumerate(keys):
        store.write("fit", key, fill)
        os.utime(store.path("fit", key) / MANIFEST, (1000 + age, 1000 + age))
    store.write("train", KEY, fill)
    (store.path("fit", keys[1]) / MANIFEST).write_text("{half")
    store.path("fit", keys[0]).rename(store.path("fit", ".being-written"))
    store.write("fit", "ab" * 16, fill)
    assert [made["key"] for made in store.local_manifests(["fit"])] == ["ab" * 16, keys[2]]
    assert [made["kind"] for made in store.local_manifests(["fit", "train"], KEY[:6])] == ["train"]
    assert list(Store(tmp_path / "none").local_manifests(["fit"])) == []


def test_an_artefact_with_a_link_in_it_is_none(tmp_path):
    """A store that somebody sent could show any file of the reader's as an image."""
    store = Store(tmp_path / "s")
    store.write("synthesize", KEY, fill)
    folder = store.path("synthesize", KEY)
    name = next(iter(store.manifest("synthesize", KEY)["files"]))
    (folder / name).rename(tmp_path / "moved")
    (folder / name).symlink_to(tmp_path / "moved")
    assert not store.has("synthesize", KEY)
    with pytest.raises(FileNotFoundError):
        store.fetch("synthesize", KEY)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a/../../x"])
def test_a_manifest_whose_names_lead_out_is_refused(tmp_path, name):
    store = Store(tmp_path)
    store.write("fit", KEY, fill)
    path = store.path("fit", KEY) / "manifest.json"
    path.write_text(json.dumps({"files": {name: {"size": 1, "sha256": ""}}}))
    with pytest.raises(UserError, match="not a plain relative path"):
        store.has("fit", KEY)


@pytest.mark.parametrize("manifest", [{"files": []}, {"files": {"a": 1}}, {"files": {}, "deps": {"teacher": "k"}}, []])
def test_a_manifest_of_other_types_counts_as_absent(tmp_path, manifest):
    store = Store(tmp_path)
    store.write("fit", KEY, fill)
    (store.path("fit", KEY) / "manifest.json").write_text(json.dumps(manifest))
    assert not store.has("fit", KEY)


def test_nothing_is_written_through_a_link_to_a_kind_of_artefact(tmp_path):
    store = Store(tmp_path / "s")
    (tmp_path / "elsewhere").mkdir()
    store.folder.mkdir(parents=True)
    (store.folder / "fit").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="symbolic link"):
        store.write("fit", KEY, fill)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_key_that_is_a_path_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a plain file or folder name"):
        Store(tmp_path).path("fit", "../../x")
