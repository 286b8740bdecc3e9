"""Data sets of several files, and of a zip archive, are fetched as others are: checked, compared, whole or not at all."""

import functools
import gzip
import hashlib
import http.server
import json
import shutil
import threading
from contextlib import contextmanager

import pytest
import yaml

from harness.core.errors import UserError
from harness.core.progress import no_progress
from harness.core.suites import load_suite
from harness.data.fetch.check import check_data
from harness.data.fetch.suite_data import RECEIPT, fetch
from tests.helpers.archive_server import serve
from tests.helpers.idx_files import idx_files
from tests.helpers.tiny_imagenet_files import CLASSES, TOP, tiny_files, zipped


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("harness.data.fetch.http._wait", lambda seconds: None)


@contextmanager
def serving(folder):
    """Serve the files of a folder; give the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def write_suite(folder, source, variant, num_images, class_ids):
    """Write a known data set and a suite that reads it; return the suite."""
    (folder / "classes.txt").write_text("\n".join(class_ids))
    known = {"name": "small", "title": "Small", "classes": "classes.txt", "num_images": num_images, "source": source}
    (folder / "small.yaml").write_text(yaml.safe_dump(known | {"variants": {"full": variant}}))
    suite = {
        "name": "mine", "version": 1, "classes": "classes.txt", "image_size": 28, "budget": {"ipc": [1]},
        "students": ["convnet3"], "source": source | {"root": variant["root"], "origins": [str(folder / "small.yaml")]},
    }  # fmt: skip
    (folder / "mine.yaml").write_text(yaml.safe_dump(suite))
    return load_suite(str(folder / "mine.yaml"))


@pytest.fixture
def packed(tmp_path):
    """The four files as an origin has them, in a folder of their own."""
    folder = tmp_path / "origin"
    folder.mkdir()
    for name, content in idx_files().items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def idx_suite(tmp_path, packed, url, num_train=40, **source):
    files = [
        {
            "url": f"{url}/{path.name}",
            "num_bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(packed.iterdir())
    ]
    variant = {"root": "small-idx", "files": files}
    return write_suite(tmp_path, {"kind": "idx", **source}, variant, {"train": num_train, "test": 20}, "0123456789")


def test_every_file_is_fetched_and_the_suite_reads_them(tmp_path, packed):
    with serving(packed) as url:
        file = idx_suite(tmp_path, packed, url)
        got = fetch(file, tmp_path / "data", no_progress)
    names = sorted(p.name for p in packed.iterdir())
    assert (got.folder, got.declared, got.is_suites_own) == (tmp_path / "data" / "small-idx", True, True)
    assert sorted(p.name for p in got.folder.iterdir()) == [RECEIPT, *names]
    assert json.loads((got.folder / RECEIPT).read_text())["sha256"].count(",") == 3
    assert sum(check_data(file, tmp_path / "data", no_progress).num_images["train"].values()) == 40
    assert not [p.name for p in (tmp_path / "data" / ".downloads").iterdir() if "idx3" in p.name]
    assert fetch(file, tmp_path / "data", no_progress).here_before  # the server is gone


def test_one_wrong_file_leaves_nothing_and_the_next_try_fetches_that_one_alone(tmp_path, packed):
    with serving(packed) as url:
        file = idx_suite(tmp_path, packed, url)
        broken = packed / "train-images-idx3-ubyte.gz"
        right = broken.read_bytes()
        broken.write_bytes(right[:-1] + b"x")
        with pytest.raises(UserError, match=r"small-idx-train-images-idx3-ubyte\.gz: SHA-256 is"):
            fetch(file, tmp_path / "data", no_progress)
        assert [p.name for p in (tmp_path / "data").iterdir()] == [".downloads"]
        broken.write_bytes(right)
        (packed / "t10k-images-idx3-ubyte.gz").unlink()  # it has come already
        assert fetch(file, tmp_path / "data", no_progress).folder.is_dir()


def test_files_that_hold_too_little_are_refused(tmp_path, packed):
    with serving(packed) as url:
        file = idx_suite(tmp_path, packed, url, num_train=60)
        with pytest.raises(UserError, match="holds 40 training and 20 test images, expected 60 and 20"):
            fetch(file, tmp_path / "data", no_progress)


def test_a_folder_of_files_that_are_here_needs_no_network_and_stays(tmp_path, packed):
    file = idx_suite(tmp_path, packed, "http://127.0.0.1:9")
    with pytest.raises(
        UserError, match=r"Small consists of several files; pass the folder that contains t10k-images-idx3-ubyte\.gz, "
    ):
        fetch(file, tmp_path / "data", no_progress, archive=packed / "train-images-idx3-ubyte.gz")
    shutil.copytree(packed, tmp_path / "mine")
    assert fetch(file, tmp_path / "data", no_progress, archive=tmp_path / "mine").folder.is_dir()
    assert len(list((tmp_path / "mine").iterdir())) == 4
    (tmp_path / "mine" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"file not found; t10k-labels-idx1-ubyte\.gz were expected in it"):
        fetch(file, tmp_path / "other", no_progress, archive=tmp_path / "mine")


def test_data_that_lie_elsewhere_are_not_fetched_again(tmp_path, packed):
    file = idx_suite(tmp_path, packed, "http://127.0.0.1:9", alternatives=[str(packed)])
    got = fetch(file, tmp_path / "data", no_progress)
    assert (got.folder, got.here_before) == (packed, True)
    assert not (tmp_path / "data").exists()


def tiny_suite(tmp_path, url, content, num_train=6):
    source = {"kind": "image_folder", "train_subfolder": "images", "test_dir": "val/images"}
    source["test_labels"] = "val/val_annotations.txt"
    archive = {"url": url.replace(".tgz", ".zip"), "md5": hashlib.md5(content).hexdigest()}
    return write_suite(
        tmp_path, source, {"root": TOP, "short_side": 64, "archive": archive}, {"train": num_train, "test": 3}, CLASSES
    )


def test_a_zip_archive_is_what_the_suite_reads(tmp_path):
    content = zipped(tiny_files())
    with serve(content) as (url, _):
        file = tiny_suite(tmp_path, url, content)
        got = fetch(file, tmp_path / "data", no_progress)
    assert got.about == "Small, short side 64 px"
    found = check_data(file, tmp_path / "data", no_progress)
    assert found.about.startswith(
        f"image folder {TOP}: Small, short side 64 px (6 train images in train, 3 test images"
    )


def flipped(content):
    """A zip archive with one wrong byte within its first image."""
    at = content.index(b"\xff\xd8\xff") if b"\xff\xd8\xff" in content else 600
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (zipped(tiny_files(), link=f"{TOP}/link"), r"'tiny-imagenet-200/link' is a symbolic link"),
        (zipped(tiny_files() | {"evil.txt": b""}), r"'evil\.txt' is outside tiny-imagenet-200/"),
        (zipped(tiny_files() | {f"{TOP}/../../evil": b""}), r"would be outside its folder"),
        (zipped(tiny_files())[:-200], r"is damaged or truncated"),
        (flipped(zipped(tiny_files())), r"is damaged or truncated"),
        (
            zipped({k: v for k, v in tiny_files().items() if "n01629819_0" not in k}),
            r"holds 5 training and 3 test images",
        ),
    ],
    ids=["link", "outside", "above", "cut", "damaged", "count"],
)
def test_a_wrong_zip_archive_leaves_nothing(tmp_path, content, told):
    with serve(content) as (url, _):
        file = tiny_suite(tmp_path, url, content)
        with pytest.raises(UserError, match=told):
            fetch(file, tmp_path / "data", no_progress)
    assert [p.name for p in (tmp_path / "data").iterdir()] == [".downloads"]
    assert not (tmp_path / "evil").exists()


def test_a_zip_bomb_is_told_before_it_is_unpacked(tmp_path, monkeypatch):
    content = zipped({f"{TOP}/zeros": bytes(10_000_000)})
    (tmp_path / "bomb.zip").write_bytes(content)
    file = tiny_suite(tmp_path, "http://127.0.0.1:9/x.zip", content)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**7, 10**6, 9 * 10**6))
    with pytest.raises(
        UserError, match=r"needs 9\.5 MiB unpacked, but only 8\.6 MiB are free; no unpacked files were kept"
    ):
        fetch(file, tmp_path / "data", no_progress, archive=tmp_path / "bomb.zip")


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        (
            {"root": "x", "files": [{"url": "http://a/1/b"}, {"url": "http://a/2/b"}]},
            "several files have the same name: b, b",
        ),
        (
            {"root": "x", "files": [{"url": "http://a/b"}], "archive": {"url": "http://a/c"}},
            "`archive` or `files`, not both",
        ),
    ],
)
def test_a_mistake_in_the_files_of_a_data_set_is_told(tmp_path, variant, told):
    file = write_suite(tmp_path, {"kind": "idx"}, variant, {"train": 1, "test": 1}, "0")
    with pytest.raises(UserError, match=told):
        fetch(file, tmp_path / "data", no_progress)
