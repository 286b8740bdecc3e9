"""A fetched data set is there whole or not at all, and describes itself."""

import json
import shutil

import pytest

from harness.core.errors import UserError
from harness.core.progress import no_progress
from harness.core.suites import load_suite
from harness.data import open_source
from harness.data.fetch.check import check_data
from harness.data.fetch.suite_data import RECEIPT, fetch, how_to_get
from tests.helpers.archive_server import CLASSES, files, photograph, serve, tgz, write_suite

CONTENT = tgz(files())


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("harness.data.fetch.http._wait", lambda seconds: None)


def left(data_root):
    """What lies below the data root beside the downloads' own folder."""
    return sorted(p.name for p in data_root.iterdir() if p.name != ".downloads")


def fetch_content(tmp_path, content, **options):
    """Serve `content` and fetch it as a suite's data, with the right length and checksum unless told otherwise."""
    declared = {k: options.pop(k) for k in ("md5", "num_bytes") if k in options}
    with serve(content) as (url, how):
        suite = load_suite(str(write_suite(tmp_path, url, content, **declared)))
        how.drops = options.pop("drops", [])
        return fetch(suite, tmp_path / "data", no_progress, **options)


def test_fetched_data_are_a_source_that_says_what_it_is(tmp_path):
    got = fetch_content(tmp_path, CONTENT, drops=[1000, 500])

    assert (got.folder, got.about, got.here_before) == (tmp_path / "data" / "tiny2", "Tiny 2, full size", False)
    assert left(tmp_path / "data") == ["tiny2"]
    assert not list((tmp_path / "data" / ".downloads").glob("*.tgz*"))
    assert json.loads((got.folder / RECEIPT).read_text())["sha256"] == got.sha256
    options = {"kind": "image_folder", "root": "tiny2", "origins": [str(tmp_path / "tiny2.yaml")]}
    source = open_source(options, CLASSES, tmp_path / "data")
    assert source.describe().startswith("image folder tiny2: Tiny 2, ")
    assert len(source.split("train")) == 6


def test_fetching_again_downloads_nothing(tmp_path):
    fetch_content(tmp_path, CONTENT)
    suite = load_suite(str(tmp_path / "tiny.yaml"))

    assert fetch(suite, tmp_path / "data", no_progress).here_before  # the server is gone


def test_an_archive_that_is_here_needs_no_network_and_stays(tmp_path):
    (tmp_path / "mine.tgz").write_bytes(CONTENT)
    suite = load_suite(str(write_suite(tmp_path, "http://127.0.0.1:9/files/tiny2.tgz", CONTENT)))

    assert fetch(suite, tmp_path / "data", no_progress, archive=tmp_path / "mine.tgz").folder.is_dir()
    assert (tmp_path / "mine.tgz").read_bytes() == CONTENT


def test_the_archive_is_kept_on_request(tmp_path):
    fetch_content(tmp_path, CONTENT, keep_archive=True)
    assert (tmp_path / "data" / ".downloads" / "tiny2.tgz").read_bytes() == CONTENT


def without(part):
    return tgz({name: content for name, content in files().items() if part not in name})


def emptied():
    return tgz(dict.fromkeys(files(), b""))


def evil_link(tar):
    import tarfile

    info = tarfile.TarInfo("tiny2/link")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc"
    tar.addfile(info)


@pytest.mark.parametrize(
    ("content", "declared", "told"),
    [
        (CONTENT, {"md5": "0" * 32}, "MD5 is"),
        (CONTENT, {"num_bytes": 5}, "expected 5"),
        (CONTENT[:-100], {}, "damaged or truncated"),
        (tgz(files(), evil_link), {}, "'tiny2/link' is a symbolic link"),
        (without("train/n01"), {}, r"not complete; .*\n.*\n.*ARCHIVE.* has no folder for 1 of 3 classes: n01"),
        (without("n02_0.JPEG"), {}, "has no folder for 1 of 3 classes: n02"),
        (without("n02_1.JPEG"), {}, "holds 5 training and 3 test images, expected 6 and 3"),
        (emptied(), {}, "6 unreadable entries: .*unpack the data again"),
    ],
    ids=["checksum", "length", "cut", "link", "class", "test class", "count", "zero bytes"],
)
def test_a_wrong_archive_leaves_nothing(tmp_path, content, declared, told):
    with pytest.raises(UserError, match=told):
        fetch_content(tmp_path, content, **declared)
    assert left(tmp_path / "data") == []
    assert str(tmp_path / "data" / ".unp") not in told


def test_a_download_that_fails_its_check_is_fetched_anew(tmp_path):
    (tmp_path / "data" / ".downloads").mkdir(parents=True)
    (tmp_path / "data" / ".downloads" / "tiny2.tgz").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(UserError, match="MD5"):
        fetch_content(tmp_path, CONTENT)
    assert fetch_content(tmp_path, CONTENT).folder.is_dir()


def test_a_folder_of_that_name_is_left_alone(tmp_path):
    (tmp_path / "data" / "tiny2").mkdir(parents=True)
    (tmp_path / "data" / "tiny2" / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="is not a download of Tiny 2"):
        fetch_content(tmp_path, CONTENT)
    assert (tmp_path / "data" / "tiny2" / "mine.txt").read_text() == "precious"


def test_what_a_killed_process_left_is_swept(tmp_path):
    (tmp_path / "data" / ".unpacking-tiny2-dead" / "tiny2").mkdir(parents=True)
    fetch_content(tmp_path, CONTENT)
    assert left(tmp_path / "data") == ["tiny2"]


def test_two_fetches_at_once_do_not_meet(tmp_path):
    from filelock import FileLock

    (tmp_path / "data" / ".downloads").mkdir(parents=True)
    with (
        FileLock(tmp_path / "data" / ".downloads" / "tiny2.lock"),
        pytest.raises(UserError, match=r"being downloaded to .* by another process"),
    ):
        fetch_content(tmp_path, CONTENT)


def test_too_small_a_disk_is_told_before_the_download(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(UserError, match="10 B are free"):
        fetch_content(tmp_path, CONTENT)
    assert left(tmp_path / "data") == []


def test_a_data_root_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        fetch_content(tmp_path, CONTENT)


@pytest.mark.parametrize(("suite", "told"), [("imagenet1k", "sign in"), ("imagenet100", "sign in")])
def test_what_cannot_be_fetched_says_how_to_get_it(tmp_path, suite, told):
    with pytest.raises(UserError, match=told):
        fetch(load_suite(suite), tmp_path / "data", no_progress)
    assert not list(tmp_path.iterdir())


def test_embedded_data_need_no_fetching(tmp_path):
    assert "1,257 train" in fetch(load_suite("digits"), tmp_path / "data", no_progress).about
    assert not list(tmp_path.iterdir())


def test_an_unknown_variant_suggests_the_closest(tmp_path):
    with pytest.raises(UserError, match="Did you mean '320'"):
        fetch(load_suite("imagewoof"), tmp_path, no_progress, variant="320px")


def test_missing_data_are_told_with_what_is_here_and_what_can_be_fetched(tmp_path):
    fetch_content(tmp_path, CONTENT)
    suite = load_suite(str(tmp_path / "tiny.yaml"))

    assert "harness data fetch" in how_to_get(suite, tmp_path / "data")
    with pytest.raises(UserError, match=r"own does not exist[^$]*--set data\.root=tiny2"):
        check_data(suite, tmp_path / "data", no_progress)


def test_a_check_names_images_that_cannot_be_decoded(tmp_path):
    got = fetch_content(tmp_path, CONTENT)
    (got.folder / "train" / "n01" / "n01_0.JPEG").write_bytes(photograph(1)[:300])
    suite = load_suite(str(tmp_path / "tiny.yaml"))

    found = check_data(suite, tmp_path / "data", no_progress, options={"root": "tiny2"})

    assert [line for line in found.damaged if "n01_0.JPEG" in line] == found.damaged
    assert len(found.damaged) == 1
    assert found.num_images["train"] == dict.fromkeys(CLASSES, 2)
    assert found.num_decoded == 9
