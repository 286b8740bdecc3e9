"""A run as one file: what is in it, that equal runs give equal bytes, and that a report of it has the numbers of the run."""

import getpass
import json
import platform
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.api.bundle import check_bundle, contents
from harness.api.report import write_page
from harness.core.errors import UserError
from tests.helpers.hostile_bundles import HOSTILE, changed, files_of, first_done, json_of, write


@pytest.fixture(scope="module")
def store(tiny_suite, shared_store):
    """Two runs: a nested method, one that is skipped and the full data; and one whose sets have stored soft labels."""
    given = {"suite": tiny_suite, "executor": "local", "store": shared_store, "reference": False}
    harness.run(**given, methods=["random_real", "full", "sre2l"], ipc=[1, 2], distill_seeds=[0, 1], name="sent",
                settings={"sre2l.teacher": "convnet3"})  # fmt: skip
    harness.run(**given, methods=["random_real"], ipc=[1, 2], protocol="rded", name="labelled",
                settings={"protocol.labels": "stored"})  # fmt: skip
    return shared_store


@pytest.fixture(scope="module")
def sent(store, tmp_path_factory):
    """The bundle of the first run."""
    return harness.bundle("sent", to=tmp_path_factory.mktemp("bundle") / "sent.zip", store=store)


def state(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def small(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.startswith("figures/")}


def test_the_numbers_of_a_bundle_are_those_of_the_run(store, sent, tmp_path):
    """In a folder far from the store; every table but for the note on its source."""
    moved = shutil.copy(sent, tmp_path / "moved.zip")
    for layout in ("leaderboard", "paper", "timing", "statistics"):
        ours, theirs = (harness.report(run, store, layout=layout) for run in ("sent", moved))
        assert ours.keys() == theirs.keys()
        for name, table in ours.items():
            pd.testing.assert_frame_equal(table.frame, theirs[name].frame)
            assert table.display.equals(theirs[name].display)
            assert theirs[name].notes[-1].startswith("Source: moved.zip")
            assert table.notes == theirs[name].notes[:-1]
    assert list(harness.load_results(moved)["train_key"]) == list(harness.load_results("sent", store)["train_key"])


def test_equal_runs_give_equal_bytes_and_a_folder_holds_the_same_files(store, sent, tmp_path):
    again = harness.bundle("sent", to=tmp_path / "again.zip", store=store)
    assert again.read_bytes() == sent.read_bytes()
    folder = harness.bundle("sent", to=tmp_path / "folder", store=store)
    inside = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {n: c for n, c in inside.items() if n != "MANIFEST.json"} == files_of(sent)
    before = state(folder)
    table = harness.report(folder)["leaderboard"]
    assert table.frame.equals(harness.report(sent)["leaderboard"].frame)
    assert state(folder) == before, "a report writes nothing into a bundle"


def test_a_bundle_is_small_and_says_what_it_holds(sent):
    found = check_bundle(sent)
    assert sent.stat().st_size < 200_000
    assert (found.name, len(found.records), found.num_bytes) == ("sent", 9, sent.stat().st_size)
    assert set(found.sheets) == {"random_real_ipc1_seed0.png", "random_real_ipc2_seed0.png"}
    text = "\n".join(contents(found))
    assert "9 records (5 done, 4 skipped)" in text
    assert f"{len(found.identities)} keys recomputed" in text


def test_pictures_are_made_smaller_until_they_fit(store, tmp_path):
    few = harness.bundle("sent", to=tmp_path / "few.zip", pictures=14_000, store=store)
    sheets = check_bundle(few).sheets.values()
    assert len(sheets) == 2
    assert sum(map(len, sheets)) <= 9_400


def test_nothing_private_is_in_a_bundle(store, sent):
    """Neither in run.json nor in records: folders, host, user, the address of a store."""
    files = files_of(sent)
    texts = [json.dumps(json_of(files, name)) for name in ("run.json", "records.json.gz", "identities.json.gz")]
    texts += [content.decode() for name, content in files.items() if name.startswith("tables/")]
    for text in texts:
        assert str(store) not in text
        assert not re.search(r"(?<![\w.:/])/(?:tmp|home|root|work|usr)/", text)
        assert f"/{getpass.getuser()}/" not in text
    records, about = json_of(files, "records.json.gz"), json_of(files, "run.json")
    assert not {"host", "image_folder"} & {name for record in records for name in record}
    assert not {"store", "data_root", "weights_root", "ray_address", "plugins_root"} & set(about["request"])
    assert about["request"]["suite"] == "…/tiny.yaml"
    assert platform.node() not in json.dumps(records)


def test_texts_of_a_run_lose_paths_hosts_and_logins(store, tmp_path):
    shutil.copytree(store / "runs" / "sent", tmp_path / "s" / "runs" / "named")
    (tmp_path / "s" / "store").symlink_to(store / "store")
    run = tmp_path / "s" / "runs" / "named"
    records = json.loads((run / "records.json").read_text())
    where = "https://jane:pw@example.org/x, see C:\\Users\\jane\\a b"
    error = f"OSError on node-17: /home/jane doe/x.png of s3://secret/bucket and {where}"
    for record in records:
        record["run"] = "named"
    records[0] |= {"notes": error, "host": "node-17"}
    (run / "records.json").write_text(json.dumps(records))
    about = json.loads((run / "run.json").read_text()) | {"name": "named", "error": error}
    about["losses"] = [
        {"job": "train", "reason": "node-17 (/var/run/ray/x) is lost", "host": "node-17", "seconds": 1.0}
    ]
    (run / "run.json").write_text(json.dumps(about))
    files = files_of(harness.bundle(run, to=tmp_path / "x.zip", store=tmp_path / "s"))
    texts = json.dumps([json_of(files, "run.json"), json_of(files, "records.json.gz")])
    for private in ("node-17", "jane", "secret", "/var/run", "pw@"):
        assert private not in texts.replace("doe/x.png", ""), private


def test_stored_labels_are_checked_and_sent_with_the_sets(store, tmp_path):
    whole = harness.bundle("labelled", to=tmp_path / "whole.zip", sets=True, store=store)
    names = set(files_of(whole))
    assert {"sets/random_real_ipc2_seed0/0/00001.png", "sets/random_real_ipc1_seed0/soft_labels.safetensors"} <= names
    kept = json_of(files_of(whole), "records.json.gz")
    assert all(record["label_key"] for record in kept)
    swapped = changed(
        files_of(whole), "records.json.gz", lambda rows: first_done(rows, label_key=rows[0]["distilled_key"])
    )
    write(swapped, tmp_path / "swapped.zip")
    with pytest.raises(UserError, match="has no label job of that key"):
        check_bundle(tmp_path / "swapped.zip")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_one_message_and_nothing_is_written(name, sent, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "work"))
    told, make = HOSTILE[name]
    make(small(files_of(sent)), tmp_path / "evil.zip")
    before = state(tmp_path)
    with pytest.raises(UserError) as refused:
        harness.report(tmp_path / "evil.zip")
    text = str(refused.value)
    assert told in text
    assert text.count("evil.zip") == 1
    assert "harness bundle RUN --to" in text or "cannot be read" in text
    assert len(text) < 700
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    assert state(tmp_path) == before
    assert [path.name for path in (tmp_path / "work").iterdir()] == []


def test_a_link_in_a_bundle_is_not_followed(sent, store, tmp_path):
    folder = harness.bundle("sent", to=tmp_path / "folder", store=store)
    (tmp_path / "away").mkdir()
    (folder / "run.json").rename(tmp_path / "away" / "run.json")
    (folder / "run.json").symlink_to(tmp_path / "away" / "run.json")
    with pytest.raises(UserError, match=r"run\.json' is listed in MANIFEST\.json but missing"):
        harness.report(folder)


def test_hostile_texts_are_shown_and_not_obeyed(sent, tmp_path):
    """Titles are no part of keys: whoever reads them must escape them, in every form of a table and on the page."""
    evil = "<script>alert(1)</script>\x1b[2J \\input{/etc/passwd} \u202e=1+1"
    files = changed(
        files_of(sent), "records.json.gz", lambda rows: [r | {"method_title": evil, "device": evil} for r in rows]
    )
    files = changed(files, "run.json", lambda run: run["environment"].update(cpu=evil))
    write(files, tmp_path / "evil.zip")
    for table in harness.report(tmp_path / "evil.zip").values():
        for text in (table.to_html(), table.to_latex(), table.to_markdown(), table.to_csv()):
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
        assert "<script>" not in table.to_html()
        assert "\\input" not in table.to_latex()


def test_pictures_are_encoded_again_and_what_is_none_is_left_out(sent, store, tmp_path):
    from harness.reporters.bundles.unpacked import unpack

    files = files_of(sent)
    first, second = sorted(name for name in files if name.startswith("images/"))
    files |= {first: b"<svg onload=alert(1)>", second: files[second] + b"<?php evil ?>"}
    write(files, tmp_path / "pictures.zip")
    folder = unpack(tmp_path / "pictures.zip", tmp_path / "kept")
    assert [path.name for path in (folder / "images").iterdir()] == [second.partition("/")[2]]
    assert b"evil" not in (folder / second).read_bytes()
    assert not (folder / "tables").exists(), "tables are made of the records, not taken over"
    page = write_page(folder).read_text()
    assert len(re.findall("data:image/(png|webp)", page)) >= 1
    assert "svg onload" not in page


def test_bundles_of_two_senders_are_told_apart(sent, store, tmp_path):
    """Equal methods of two senders are not averaged, and each row names where it is from; one of our own keeps its name."""
    for name in ("anna", "ben"):
        shutil.copy(sent, tmp_path / f"{name}.zip")
    table = harness.report([tmp_path / "anna.zip", tmp_path / "ben.zip", "sent"], store)["leaderboard"]
    titles = set(table.frame["method_title"])
    assert {"Random real", "Random real [anna.zip]", "Random real [ben.zip]"} <= titles
    assert "anna.zip, ben.zip" in table.notes[-1]
    n = table.frame.query("ipc == 1 and status == 'done'").set_index("method_title")["convnet3_num_runs"]
    assert set(n) == {2}


def test_a_page_of_a_bundle_and_a_run_shows_the_images_of_both(sent, store, tmp_path):
    shutil.copy(sent, tmp_path / "anna.zip")
    before = state(store / "runs" / "sent")
    page = write_page([tmp_path / "anna.zip", "sent"], store, to=tmp_path / "both.html").read_text()
    assert "Random real [anna.zip]" in page
    assert "runs anna.zip, sent" in page
    assert page.count('alt="Distilled set of Random real, IPC 2, distillation seed 0') == 2
    assert state(store / "runs" / "sent") == before


def test_no_text_of_a_bundle_is_markup_on_a_page_of_several_runs(sent, store, tmp_path):
    evil = "</script><script>alert(1)</script><img src=x>"
    files = files_of(sent)
    name = next(name for name in files if name.startswith("records.json"))
    write(changed(files, name, lambda rows: [row | {"method_title": evil} for row in rows]), tmp_path / "evil.zip")
    page = write_page([tmp_path / "evil.zip", "sent"], store, to=tmp_path / "both.html").read_text()
    assert "alert(1)" in page
    assert not re.search("<script>alert|<img src=x", page)


def test_bundles_that_do_not_fit_are_not_averaged(sent, store, tmp_path):
    other = harness.bundle("labelled", to=tmp_path / "labelled.zip", store=store)
    with pytest.raises(
        UserError, match=r"do not fit into one table(.|\n)*protocol\.name: idc in sent, rded in labelled"
    ):
        harness.report([sent, other])


def test_nothing_is_written_into_a_bundle_or_over_a_file(sent, store, tmp_path):
    with pytest.raises(UserError, match="into which nothing is written"):
        write_page(sent)
    with pytest.raises(UserError, match="into which nothing is written"):
        harness.figures(sent, kinds=["accuracy"])
    with pytest.raises(UserError, match="is already a bundle"):
        harness.bundle(sent, to=tmp_path / "x.zip")
    with pytest.raises(UserError, match="is a bundle: check it with"):
        harness.verify(sent)
    with pytest.raises(UserError, match="nothing is overwritten"):
        harness.bundle("sent", to=sent, store=store)
    with pytest.raises(UserError, match="nothing is overwritten"):
        harness.bundle("sent", to=sent.parent, store=store)


def test_a_run_that_was_edited_makes_no_bundle(store, tmp_path):
    shutil.copytree(store / "runs" / "sent", tmp_path / "s" / "runs" / "sent")
    records = tmp_path / "s" / "runs" / "sent" / "records.json"
    rows = json.loads(records.read_text())
    first_done(rows, student="resnet18")
    records.write_text(json.dumps(rows))
    with pytest.raises(UserError, match="no longer tells what the key"):
        harness.bundle(records.parent, to=tmp_path / "x.zip", store=tmp_path / "s")
    (tmp_path / "s" / "store").symlink_to(store / "store")
    with pytest.raises(UserError, match="student is 'resnet18', and 'convnet3' by what its key is hashed from"):
        harness.bundle(records.parent, to=tmp_path / "x.zip", store=tmp_path / "s")
    assert not (tmp_path / "x.zip").exists()
