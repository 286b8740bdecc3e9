"""The folder of a run: what is read of it, what is refused, and where it is written."""

import json

import pytest

from harness.core import run_json, run_schema
from harness.core.errors import UserError
from harness.core.run_folder import RunFolder
from tests.helpers.made_run import make_record, make_run


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path / "runs" / "r", [make_record()])


def test_what_was_written_is_read_as_it_was(folder):
    run = RunFolder(folder)
    assert run.records == [make_record()]
    assert run.about == json.loads((folder / "run.json").read_text())
    assert [one.name for one in RunFolder.all_in(folder.parent)] == ["r"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "splendid"}, "0.status"),
        ({"top1_best": "34"}, "0.top1_best"),
        ({"top1_best": 134.0}, "0.top1_best"),
        ({"training_seed": 10**20}, "0.training_seed"),
        ({"reference_row": 1}, "0.reference_row"),
        ({"method": "../x"}, "0.method"),
        ({"train_key": "../x"}, "0.train_key"),
        ({"config": "[1]"}, "0.config"),
        ({"class_accuracy_last": '{"a": "b"}'}, "0.class_accuracy_last"),
        ({"storage_bytes": 1.5}, "0.storage_bytes"),
        ({"of_a_plugin": [1]}, "0.of_a_plugin"),
    ],
)
def test_a_record_that_is_none_is_refused_with_its_field(folder, change, told):
    (folder / "records.json").write_text(json.dumps([make_record() | change]))
    with pytest.raises(UserError, match=rf"records.json: {told}"):
        _ = RunFolder(folder).records


@pytest.mark.parametrize(
    "change", [{"of_a_plugin": 1.5}, {"of_a_plugin": "text"}, {"of_a_plugin": None}, {"notes": ""}]
)
def test_a_plugin_may_add_plain_values(folder, change):
    (folder / "records.json").write_text(json.dumps([make_record() | change]))
    assert RunFolder(folder).records == [make_record() | change]


def test_too_many_bytes_values_and_records_are_refused(folder, monkeypatch):
    monkeypatch.setattr(run_schema, "MOST_RECORDS", 1)
    (folder / "records.json").write_text(json.dumps([make_record()] * 2))
    with pytest.raises(UserError, match="2 records; the limit is 1"):
        _ = RunFolder(folder).records
    monkeypatch.setattr(run_json, "MOST_PARTS", 2)
    with pytest.raises(UserError, match="more than 2 lists and objects"):
        _ = RunFolder(folder).records
    monkeypatch.setitem(run_json.MOST_BYTES, "records.json", 10)
    with pytest.raises(UserError, match="the limit of 10"):
        _ = RunFolder(folder).records


def test_texts_lose_what_a_terminal_would_obey(folder):
    (folder / "records.json").write_text(
        json.dumps([make_record(method_title="a\x1b[2Jb\u202e\ud800", notes="ü …\n2")])
    )
    (record,) = RunFolder(folder).records
    assert (record["method_title"], record["notes"]) == ("ab", "ü …\n2")


def test_nan_is_not_known(folder):
    (folder / "records.json").write_text(json.dumps([make_record(top1_best=float("nan"))]))
    assert RunFolder(folder).records[0]["top1_best"] is None


def test_nothing_is_written_through_a_link(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "tables").symlink_to(tmp_path / "elsewhere")
    run = RunFolder(folder)
    with pytest.raises(UserError, match="is a symbolic link, and the harness does not write through links"):
        run.ready(run.tables)
    (tmp_path / "own.txt").write_text("own")
    run.page.symlink_to(tmp_path / "own.txt")
    run.write_page("page")
    assert ((tmp_path / "own.txt").read_text(), run.page.read_text(), run.page.is_symlink()) == ("own", "page", False)


def test_an_error_text_stays_in_its_folder(folder):
    RunFolder(folder).write_error("train ../../x\\y\0" + "z" * 300, "trace", "")
    (path,) = (folder / "errors").iterdir()
    assert path.read_text() == "trace"


def test_what_the_reader_does_not_name_is_told(tmp_path):
    request = {"plugins": ["/a.py", "/b.py"], "store": "s3://x", "data_root": "/d", "suite": "/s.yaml"}
    run = RunFolder(make_run(tmp_path / "r", [make_record()], request=request))
    assert run.not_used(plugins=["/a.py"], store="mine", data_root="data", suite=None) == [
        "--plugin /b.py", "--store s3://x", "--data-root /d", "--suite /s.yaml",
    ]  # fmt: skip
    assert run.not_used(plugins=["/a.py", "/b.py"], store="s3://x", data_root="/d", suite="/s.yaml") == []
    assert run.not_used(store="s3://x") == []
