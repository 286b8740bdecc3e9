"""Data sets from the Hugging Face hub become class folders; what is no such data set leaves nothing."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.core.errors import UserError
from harness.core.suites import load_suite
from harness.data.fetch.hub import fetch_from_hub
from tests.helpers.hub import COMMIT, serve

NAMES = ["tabby cat", "n02096294", "Border_terrier, some other name"]
SUITE = """
name: two
version: 1
source: {kind: image_folder, root: elsewhere}
classes: two.txt
image_size: 32
budget: {ipc: [1]}
students: [convnet3]
"""


def picture(number, form):
    pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def write(path, labels, *, names=NAMES, features=None, paths=False):
    """Write a Parquet file as `datasets` does: struct<bytes, path> and labels, and what they are in the schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [
        {"bytes": None if paths else picture(i, "JPEG" if i % 2 else "PNG"), "path": f"{i}"} for i in range(len(labels))
    ]
    features = features or {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"image": images, "label": labels})
    noted = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(noted), path)


@pytest.fixture
def suite(tmp_path):
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "two.txt").write_text("n02093754\tborder terrier\nn02096294\tAustralian terrier\n")
    (folder / "two.yaml").write_text(SUITE)
    return load_suite(str(folder / "two.yaml"))


@pytest.fixture
def fetch(tmp_path, suite, monkeypatch):
    """Return a function that serves a folder as OWNER/NAME and fetches it."""

    def call(folder, repo="someone/dogs"):
        with serve({"someone/dogs": folder}, "datasets") as (url, _):
            monkeypatch.setenv("HF_ENDPOINT", url)
            return fetch_from_hub(suite, tmp_path / "data", repo, lambda *_: None)

    return call


def test_splits_become_class_folders_with_the_files_as_they_were(tmp_path, fetch, suite):
    write(tmp_path / "repo/data/train-00000-of-00002.parquet", [0, 1, 2, 2])
    write(tmp_path / "repo/data/train-00001-of-00002.parquet", [1])
    write(tmp_path / "repo/data/validation-00000-of-00001.parquet", [2, 1])
    got = fetch(tmp_path / "repo")
    root = tmp_path / "data" / "someone--dogs"
    assert got.folder == root
    found = sorted(str(p.relative_to(root)) for p in root.rglob("*.*") if p.parent != root)
    assert found == [
        "train/n02093754/000000.png", "train/n02093754/000001.JPEG", "train/n02096294/000000.JPEG",
        "train/n02096294/000001.png", "val/n02093754/000000.png", "val/n02096294/000000.JPEG",
    ]  # fmt: skip
    assert (root / "train/n02096294/000000.JPEG").read_bytes() == picture(1, "JPEG")
    receipt = json.loads((root / ".harness-source.json").read_text())
    assert (receipt["variant"], receipt["num_images"]) == (COMMIT, {"train": 4, "val": 2})
    assert not list((tmp_path / "data" / ".downloads").rglob("*.parquet"))
    assert fetch(tmp_path / "repo").here_before


def test_a_run_reads_what_was_fetched(tmp_path, fetch, suite):
    from harness.data.fetch.check import check_data

    write(tmp_path / "repo/train.parquet", [1, 2])
    write(tmp_path / "repo/test.parquet", [2, 1])
    fetch(tmp_path / "repo")
    found = check_data(suite, tmp_path / "data", lambda *_: None, options={"root": "someone--dogs"})
    assert found.num_images["train"] == {"n02093754": 1, "n02096294": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["tabby cat", "n02096294", "pug"]}, r"labels .* do not match the classes n02093754"),
        (
            {"features": {"image": {"_type": "Image"}, "label": {"_type": "Value"}}},
            r"found \['image'\] and no class labels",
        ),
        ({"labels": [2, 2]}, r"has no images of class n02096294"),
        ({"paths": True}, r"contains paths instead of images"),
    ],
    ids=["unknown class", "no labels", "class without images", "paths"],
)
def test_what_is_no_such_data_set_says_why_and_leaves_nothing(tmp_path, fetch, changes, message):
    write(tmp_path / "repo/train.parquet", changes.pop("labels", [1, 2]), **changes)
    write(tmp_path / "repo/test.parquet", [1, 2])
    with pytest.raises(UserError, match=message):
        fetch(tmp_path / "repo")
    assert [p.name for p in (tmp_path / "data").iterdir()] == [".downloads"]


def test_a_missing_split_is_named(tmp_path, fetch):
    write(tmp_path / "repo/train.parquet", [1, 2])
    with pytest.raises(UserError, match=r"no split validation or val or valid or test .* it has train.parquet"):
        fetch(tmp_path / "repo")


@pytest.mark.parametrize(
    ("repo", "message"), [("dogs", r"expected OWNER/NAME"), ("someone/cats", r"the download from the hub failed")]
)
def test_a_name_that_is_not_there_is_told(tmp_path, fetch, repo, message):
    write(tmp_path / "repo/train.parquet", [1, 2])
    with pytest.raises(UserError, match=message):
        fetch(tmp_path / "repo", repo)


def test_the_command_refuses_two_origins_at_once(cli, tmp_path):
    code, _, err = cli("data", "fetch", "imagewoof", "--hub", "a/b", "--variant", "160", "--data-root", tmp_path)
    assert code == 2
    assert "--variant and --archive apply to archives" in err
