"""Distilled sets for other tools: the same bytes in every format, nothing overwritten, nothing half written."""

import io
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

import harness
from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data.imported.open import open_imported
from harness.data.sets import export as export_formats


@pytest.fixture(scope="module")
def made(tiny_suite, shared_store):
    """A run with sets at IPC 1 and 2, two seeds, and stored soft labels."""
    return harness.run(
        methods=["random_real"], suite=tiny_suite, protocol="rded", executor="local", store=shared_store,
        distill_seeds=[0, 1], settings={"protocol.labels": "stored"},
    )  # fmt: skip


@pytest.fixture
def write(made, shared_store, tmp_path):
    def export(where="out", **fields):
        given = {"method": "random_real", "ipc": 2, "distill_seed": 0} | fields
        return harness.export(made, to=tmp_path / where, store=shared_store, **given)

    return export


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_an_image_folder_is_that_of_the_store_with_labels_and_origin(made, write):
    from harness.data.sets.soft_labels import read_labels

    folder = write(ipc=1, distill_seed=1)
    row = harness.load_results(made).query("ipc == 1 and distillation_seed == 1").iloc[0]
    assert sorted(p.name for p in folder.iterdir()) == [*"0123456789", "manifest.json", "soft_labels.safetensors"]
    stored = (
        made.folder.parent.parent / "store" / "synthesize" / row["distilled_key"] / "7" / "00000.png"
    ).read_bytes()
    assert [p.read_bytes() for p in (folder / "7").iterdir()] == [stored]
    labels, columns = read_labels(folder / "soft_labels.safetensors")
    assert columns == list("0123456789")
    assert labels["7"].shape == (1, 10)
    about = json.loads((folder / "manifest.json").read_text())
    assert (about["method"], about["ipc"], about["distillation_seed"]) == ("random_real", 1, 1)
    assert about["classes"][7]["id"] == "7"
    assert isinstance(about["config"], dict)
    assert [type(about[name]) for name in ("ipc", "image_size", "storage_bytes", "draws")] == [int] * 4


@pytest.mark.parametrize("format_", ["imagefolder", "dc", "mtt", "ddranking", "sre2l"])
def test_what_is_written_for_authors_code_is_read_again(format_, write):
    """The same pixels, and the soft labels where the files have room for them."""
    folder = write(format=format_)
    classes = tuple(ClassInfo(c, label, c) for label, c in enumerate("0123456789"))
    found = open_imported(folder / "res.pt" if format_ == "dc" else folder, classes)
    plain = open_imported(write("plain"), classes)
    for c in "0123456789":
        assert torch.equal(found.load(c, range(2), 16), plain.load(c, range(2), 16))
    if format_ in ("mtt", "ddranking"):
        assert torch.equal(found.soft_labels("3", [0, 1]), plain.soft_labels("3", [0, 1]))
    assert json.loads((folder / "manifest.json").read_text())["method"] == "random_real"


def test_the_command_says_how_much_it_wrote(made, shared_store, tmp_path, cli):
    code, out, err = cli(
        "export", made.name, "--method", "random_real", "--ipc", "2", "--distill-seed", "0", "--to", tmp_path / "out",
        "--format", "mtt", "--store", shared_store,
    )  # fmt: skip
    assert code == 0, err
    assert "(mtt): 20 images, 2 of each of 10 classes; " in out


def test_shards_hold_image_label_and_what_is_known(write, monkeypatch):
    monkeypatch.setattr(export_formats, "SHARD", 15)
    folder, again = write("one", format="webdataset"), write("two", format="webdataset")
    shards = sorted(folder.glob("*.tar"))
    assert [p.name for p in shards] == ["train-00000.tar", "train-00001.tar"]
    assert [p.read_bytes() for p in shards] == [p.read_bytes() for p in sorted(again.glob("*.tar"))]
    content = {}
    for path in shards:
        with tarfile.open(path) as tar:
            content |= {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    assert len(content) == 3 * 20
    about = json.loads(content["00000015.json"])
    assert (content["00000015.cls"], about["label"], about["class_id"]) == (b"7", 7, "7")
    assert len(about["soft_label"]) == 10
    assert pixels(content["00000015.png"]).shape == (16, 16, 3)


def test_parquet_says_to_hugging_face_what_its_columns_are(write):
    import pyarrow.parquet as pq

    folder, images = write("table", format="parquet"), write("folder")
    table = pq.read_table(folder / "data" / "train-00000-of-00001.parquet")
    rows = table.to_pylist()
    assert len(rows) == 20
    assert rows[15]["label"] == 7
    assert rows[15]["image"]["bytes"] == (images / rows[15]["image"]["path"]).read_bytes()
    assert torch.tensor(rows[15]["soft_label"]).shape == (10,)
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"]["names"] == list("0123456789")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"method": "randm_real"}, r"no method 'randm_real'. Did you mean 'random_real'"),
        ({"ipc": 3}, r"no set of method 'random_real' at IPC 3. It has IPC 1, 2"),
        ({"distill_seed": None}, r"2 sets .* choose one with --distill-seed 0 \(of 0, 1\)"),
        ({"distill_seed": 5}, r"no set of distillation seed 5; it has 0, 1"),
        ({"format": "imagefoldr"}, r"unknown format 'imagefoldr'. Did you mean 'imagefolder'"),
    ],
)
def test_what_is_not_there_is_named_and_nothing_written(fields, told, write, tmp_path):
    with pytest.raises(UserError, match=told):
        write(**fields)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(write, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("mine")
    with pytest.raises(UserError, match="is not an empty folder; nothing was overwritten"):
        write("full")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="not an empty folder"):
        write("file")
    with pytest.raises(UserError, match="cannot be written"):
        write("file/below")
    monkeypatch.setattr(export_formats.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="disk full"):
        write("empty")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["empty", "file", "full", "precious"]


def test_a_damaged_set_is_not_passed_on(tiny_suite, tmp_path):
    run = harness.run(methods=["random_real"], suite=tiny_suite, ipc=[1], executor="local", store=tmp_path / "s")
    next((tmp_path / "s" / "store" / "synthesize").glob("*/3/00000.png")).write_bytes(b"x" * 500)
    with pytest.raises(UserError, match=r"no longer holds the set|damaged"):
        harness.export(run, method="random_real", ipc=1, to=tmp_path / "out", store=tmp_path / "s")
    assert not (tmp_path / "out").exists()


def _received(made, tmp_path, about=None, record=None):
    """Return a copy of the run that somebody changed, beside no store."""
    folder = tmp_path / "received"
    folder.mkdir()
    for name, change in (("run.json", about), ("records.json", record)):
        value = json.loads((made.folder / name).read_text())
        value = value | (change or {}) if isinstance(value, dict) else [row | (change or {}) for row in value]
        (folder / name).write_text(json.dumps(value))
    return folder


def test_a_run_that_lies_in_no_store_is_exported_from_the_store_that_is_named(made, shared_store, tmp_path):
    folder = _received(made, tmp_path)
    to = harness.export(folder, method="random_real", ipc=1, distill_seed=0, to=tmp_path / "out", store=shared_store)
    assert list(to.glob("*/*.png"))
    with pytest.raises(UserError, match="no longer holds the set"):
        harness.export(
            folder, method="random_real", ipc=1, distill_seed=0, to=tmp_path / "no", store=tmp_path / "other"
        )


@pytest.mark.parametrize("class_id", ["../../evil", "{outside}/evil"])
def test_class_ids_that_lead_out_of_the_folder_are_refused(made, shared_store, tmp_path, class_id):
    classes = json.loads((made.folder / "run.json").read_text())["classes"]
    folder = _received(made, tmp_path, {"classes": [class_id.format(outside=tmp_path), *classes[1:]]})
    with pytest.raises(UserError, match="not a plain file or folder name"):
        harness.export(folder, method="random_real", ipc=1, distill_seed=0, to=tmp_path / "a" / "b", store=shared_store)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["received"]


def test_a_run_that_says_more_images_than_its_set_has_is_refused(made, shared_store, tmp_path):
    folder = _received(made, tmp_path, record={"draws": 50})
    with pytest.raises(UserError, match="images of each class"):
        harness.export(folder, method="random_real", ipc=1, distill_seed=0, to=tmp_path / "out", store=shared_store)
    assert not (tmp_path / "out").exists()
