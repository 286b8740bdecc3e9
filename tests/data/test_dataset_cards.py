"""Which data set a folder is, is told by its content; two data sets of one name never share a caption or a fingerprint."""

import re

import pytest
import yaml

from harness.core.errors import UserError
from harness.core.io import data_folder
from harness.core.suites import load_suite, suite_names
from harness.data import open_source, read_class_list
from harness.data.dataset_cards import load_known
from harness.data.fetch.suite_data import origins
from tests.helpers.archive_server import CLASSES, files, photograph, write_suite

PROJECT = sorted(p.stem for p in (data_folder("datasets") / "sources").glob("*.yaml"))


@pytest.mark.parametrize("name", PROJECT)
def test_every_download_of_the_project_declares_its_length_and_a_checksum(name):
    """A server without https may be answered for by anybody, and MD5 tells damage, not malice."""
    known = load_known(name)
    assert known.source.name == name
    for variant in known.source.variants.values():
        for file in variant.downloads:
            assert file.num_bytes
            assert file.sha256 or (file.md5 and file.url.startswith("https://"))
        assert variant.archive is None or variant.archive.file_name.endswith((".tgz", ".tar.gz", ".zip"))


def _of_torchvision():
    """The addresses and MD5 sums of torchvision's classes, by our name."""
    from torchvision import datasets

    found = {
        name: {(cls.mirrors[0] + file, md5) for file, md5 in cls.resources}
        for name, cls in (("mnist", datasets.MNIST), ("fashion_mnist", datasets.FashionMNIST))
    }
    found["svhn"] = {(url, md5) for split, (url, _, md5) in datasets.SVHN.split_list.items() if split != "extra"}
    return found | {
        n: {(c.url, c.tgz_md5)} for n, c in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100))
    }


def test_the_checksums_of_the_small_sets_are_those_of_torchvision():
    theirs = _of_torchvision()
    ours = {name: {(f.url, f.md5) for f in load_known(name).source.variants["full"].downloads} for name in theirs}
    assert ours == theirs


def test_the_sums_of_svhn_and_cifar_in_the_suites_are_those_of_torchvision():
    from torchvision import datasets

    svhn = {file: md5 for split, (_, file, md5) in datasets.SVHN.split_list.items() if split != "extra"}
    assert load_suite("svhn").suite.source["md5"] == svhn
    for name, cls in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        meta = {cls.meta["filename"]: cls.meta["md5"]}
        assert load_suite(name).suite.source["md5"] == dict(cls.train_list + cls.test_list) | meta


def test_the_checksums_of_imagenette_are_those_of_torchvision():
    from torchvision.datasets import Imagenette

    theirs = {size.removesuffix("px"): about for size, about in Imagenette._ARCHIVES.items()}
    ours = load_known("imagenette2").source.variants

    assert {name: (v.archive.url, v.archive.md5) for name, v in ours.items()} == theirs


@pytest.mark.parametrize("name", suite_names())
def test_the_origins_of_a_suite_have_its_classes(name):
    file = load_suite(name)
    wanted = {c.id for c in read_class_list(file.class_list)}
    assert all(wanted <= set(known.class_ids) for known in origins(file))


@pytest.fixture
def tiny(tmp_path):
    """Write a known data set with images of full size and of 12 pixels, in two folders; return a function that opens one."""
    write_suite(tmp_path, "http://127.0.0.1:9/tiny2.tgz", b"x")
    about = yaml.safe_load((tmp_path / "tiny2.yaml").read_text())
    about["variants"]["12"] = {"root": "tiny2-12", "short_side": 12, "archive": about["variants"]["full"]["archive"]}
    (tmp_path / "tiny2.yaml").write_text(yaml.safe_dump(about))

    def open_as(sides, classes=CLASSES, root="some"):
        for position, (name, _) in enumerate(files(root).items()):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photograph(position, sides[position % len(sides)]))
        options = {"kind": "image_folder", "root": root, "origins": [str(tmp_path / "tiny2.yaml")]}
        return open_source(options, classes, tmp_path)

    return open_as


@pytest.mark.parametrize(
    ("sides", "told"),
    [
        ([20, 24, 28, 31], "Tiny 2, full size"),
        ([12], "Tiny 2, short side 12 px"),
        ([16], "Tiny 2, resized: short side 16 px"),
    ],
)
def test_the_caption_tells_the_variant_by_the_images_not_by_the_folders_name(tiny, sides, told):
    assert re.match(rf"image folder some: {told} \(6 train images in train, 3 test images", tiny(sides).describe())


def test_variants_have_fingerprints_of_their_own(tiny):
    assert tiny([24], root="one").fingerprint() != tiny([12], root="two").fingerprint()
    assert tiny([24], root="one").fingerprint() == tiny([24], root="three").fingerprint()


def test_other_numbers_of_images_are_none_of_the_known(tiny, tmp_path):
    source = tiny([24])
    (tmp_path / "some" / "train" / "n01" / "n01_1.JPEG").unlink()
    assert "some: unknown source tiny2 (5 train images" in source.describe()
    assert source.remarks() == ["compared with Tiny 2: 5 of 6 train images"]


def test_a_part_of_the_classes_is_recognised_by_its_numbers_per_class(tiny, tmp_path):
    assert "unknown source" in tiny([20, 24, 28], CLASSES[:2]).describe()
    about = yaml.safe_load((tmp_path / "tiny2.yaml").read_text())
    about["num_per_class"] = {"train": [2, 2], "test": [1, 1]}
    (tmp_path / "tiny2.yaml").write_text(yaml.safe_dump(about))
    assert "some: Tiny 2, full size" in tiny([20, 24, 28], CLASSES[:2]).describe()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"variants": {"full": {"root": "../evil"}}}, "variants.full.root"),
        ({"variants": {"full": {"root": "x"}}}, "set `how` (how to g"),
        ({"variants": {"full": {"root": "x", "archive": {"url": "file:///etc/passwd"}}}}, "url"),
        ({"titel": "x"}, "unknown field 'titel'. Did you mean 'title'"),
        ({"classes": "absent.txt"}, "cannot be read"),
    ],
)
def test_a_mistake_in_a_data_sets_file_is_told(tmp_path, change, told):
    write_suite(tmp_path, "http://127.0.0.1:9/tiny2.tgz", b"x")
    about = yaml.safe_load((tmp_path / "tiny2.yaml").read_text())
    (tmp_path / "tiny2.yaml").write_text(yaml.safe_dump(about | change))
    with pytest.raises(UserError) as caught:
        load_known(str(tmp_path / "tiny2.yaml"))
    assert told in str(caught.value)


def test_an_unknown_origin_suggests_the_closest():
    with pytest.raises(UserError, match="Did you mean 'imagewoof2'"):
        load_known("imagewoof")
