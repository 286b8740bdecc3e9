"""CIFAR's archives are fetched as others are: checked, unpacked, compared, and read by the suite."""

import hashlib

import pytest
import yaml

from harness.core.classes import read_class_list
from harness.core.errors import UserError
from harness.core.io import data_folder
from harness.core.suites import load_suite
from harness.data import open_source
from harness.data.fetch.suite_data import fetch
from tests.helpers.archive_server import serve
from tests.helpers.cifar_files import cifar10_files, write_archive


@pytest.fixture
def served(tmp_path):
    """Return a function that serves a small archive and fetches it for a long-tail suite."""

    def call(num_images, files=None):
        archive, folder = tmp_path / "cifar.tar.gz", "cifar-10-batches-py"
        write_archive(files or cifar10_files(), archive, folder)
        content, classes = archive.read_bytes(), str(data_folder("datasets") / "classes" / "cifar10.txt")
        with serve(content) as (url, _):
            known = {
                "name": "small", "title": "Small CIFAR", "classes": classes, "num_images": num_images,
                "source": {"kind": "cifar", "dataset": "cifar10"},
                "variants": {"full": {"root": folder, "archive": {"url": url, "md5": hashlib.md5(content).hexdigest()}}},
            }  # fmt: skip
            (tmp_path / "small.yaml").write_text(yaml.safe_dump(known))
            source = {"kind": "cifar", "dataset": "cifar10", "root": folder, "origins": [str(tmp_path / "small.yaml")]}
            suite = {
                "name": "tail", "version": 1, "source": {**source, "imbalance_factor": 5}, "classes": classes, "image_size": 32,
                "budget": {"ipc": [1]}, "students": ["convnet3"],
            }  # fmt: skip
            (tmp_path / "tail.yaml").write_text(yaml.safe_dump(suite))
            file = load_suite(str(tmp_path / "tail.yaml"))
            return file, fetch(file, tmp_path / "data", lambda *_: None)

    return call


def test_a_fetched_archive_is_what_the_suite_reads(served, tmp_path):
    file, got = served({"train": 100, "test": 20})
    assert (got.about, got.is_suites_own) == ("Small CIFAR, full size", True)
    ids = tuple(c.id for c in read_class_list(file.class_list))
    source = open_source(file.suite.source, ids, tmp_path / "data")
    source.check()
    assert list(source.split("train").num_per_class.values())[::9] == [10, 2]
    assert sum(source.split("test").num_per_class.values()) == 20


def test_an_archive_that_lacks_images_leaves_nothing(served, tmp_path):
    with pytest.raises(
        UserError, match=r"Small CIFAR holds 100 training and 20 test images, expected 50,000 and 10,000"
    ):
        served({"train": 50000, "test": 10000})
    assert [p.name for p in (tmp_path / "data").iterdir()] == [".downloads"]


def test_an_archive_without_a_batch_is_not_complete(served, tmp_path):
    files = cifar10_files()
    del files["data_batch_3"]
    with pytest.raises(UserError, match=r"archive of Small CIFAR is not complete"):
        served({"train": 100, "test": 20}, files)
