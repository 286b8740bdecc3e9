"""A run over damaged artefacts or onto a full disk: one line for what befell it, everything else as it should be."""

import errno
import json
import resource
import shutil

import pytest

import harness
from harness.api import run as api_run
from harness.api import run_files
from harness.core.errors import UserError
from harness.core.integrity import MANIFEST
from harness.core.run_folder import RunFolder
from harness.execution.contact_sheets import write_sheets
from harness.execution.local import LocalExecutor
from harness.jobs import checkpoint
from harness.jobs.execute import execute
from harness.planning.request import make_request
from tests.helpers.damage import as_new_process, edit_json, flip_bit, set_aside, temporary_folders
from tests.helpers.made_run import make_record, make_run

FULL = OSError(errno.ENOSPC, "No space left on device")


def full(*_, **__):
    raise FULL


def run_words(tiny_suite, store):
    """Of a run of two methods, a set and a student each; one of them needs the teacher."""
    return (
        "run",
        "--suite",
        tiny_suite,
        "--methods",
        "herding,random_real",
        "--ipc",
        "1",
        "--executor",
        "local",
        "--store",
        store,
    )


@pytest.fixture(scope="module")
def finished(tiny_suite, tmp_path_factory):
    """A store with run `a`."""
    store = tmp_path_factory.mktemp("finished")
    harness.run(methods=["herding", "random_real"], suite=tiny_suite, ipc=[1], executor="local", store=store, name="a")
    return store


@pytest.fixture
def store(finished, tmp_path):
    """A copy of that store, of this test's own, as another process finds it."""
    shutil.copytree(finished, tmp_path / "s")
    as_new_process()
    return tmp_path / "s"


@pytest.fixture
def words(tiny_suite, store):
    """The command of that run, which has nothing to do but to write what a run leaves."""
    return run_words(tiny_suite, store)


def row_of(method, run, store):
    return harness.load_results(run, store).set_index("method").loc[method]


def image_of(method, store):
    """The file of one distilled image."""
    return store / "store" / "synthesize" / row_of(method, "a", store)["distilled_key"] / "3" / "00000.png"


def test_a_set_found_damaged_at_the_end_fails_its_row_and_no_other(words, store, cli, monkeypatch, caplog):
    image, before = image_of("random_real", store), harness.load_results("a", store)["top1_last"].tolist()
    real = api_run.find_artefacts

    def late(*args):
        flip_bit(image)
        as_new_process()
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(api_run, "find_artefacts", late)
        code, out, err = cli(*words, "--name", "b")
    assert (code, "Traceback" in err, "Leaderboard" in out) == (1, False, True)
    rows = harness.load_results("b", store).set_index("method")
    assert rows["status"].to_dict() == {"herding": "done", "random_real": "failed"}
    failed = rows.loc["random_real"]
    assert failed["error"] == "artefact damaged and moved aside; run the same command to create it again"
    assert failed["cause"].startswith("synthesize random_real")
    assert "3/00000.png has different content than was written" in caplog.text
    assert json.loads((store / "runs" / "b" / "run.json").read_text())["status"] == "failed"
    assert [path.name.split("-")[1] for path in set_aside(store)] == [image.parents[1].name]

    assert cli(*words, "--name", "c")[0] == 0
    assert harness.load_results("c", store)["top1_last"].tolist() == before


def test_a_set_that_is_damaged_before_a_run_is_made_again_in_it(words, store, cli, caplog):
    """The command ended at images that it could not read, as often as it was given."""
    before = harness.load_results("a", store)["top1_last"].tolist()
    image = image_of("random_real", store)
    content = image.read_bytes()
    flip_bit(image)
    code, out, err = cli(*words, "--name", "b")
    assert (code, "Traceback" in err, "Leaderboard" in out) == (0, False, True)
    assert len(set_aside(store)) == 1
    assert "3/00000.png has different content than was written" in caplog.text
    assert image.read_bytes() == content
    assert harness.load_results("b", store)["top1_last"].tolist() == before


@pytest.mark.parametrize("when", ["before the run", "while it runs"])
def test_a_damaged_teacher_is_made_again_and_then_what_needs_it(when, tiny_suite, store, cli, monkeypatch):
    (teacher,) = (store / "store" / "teacher").iterdir()
    weights = (teacher / "model.safetensors").read_bytes()
    chosen = image_of("herding", store).read_bytes()
    shutil.rmtree(image_of("herding", store).parents[1])
    shutil.rmtree(store / "store" / "train" / row_of("herding", "a", store)["train_key"])
    real = LocalExecutor.start

    def late(self, jobs):
        flip_bit(teacher / "model.safetensors")
        as_new_process()
        real(self, jobs)

    if when == "while it runs":
        monkeypatch.setattr(LocalExecutor, "start", late)
    else:
        flip_bit(teacher / "model.safetensors")
    code, _, err = cli(*run_words(tiny_suite, store), "--name", "b")
    assert (code, "Traceback" in err) == (0, False), err
    assert [path.parent.name for path in set_aside(store)] == ["teacher"]
    assert (teacher / "model.safetensors").read_bytes() == weights
    assert image_of("herding", store).read_bytes() == chosen
    assert (
        harness.load_results("b", store)["top1_last"].tolist() == harness.load_results("a", store)["top1_last"].tolist()
    )


def test_an_edited_accuracy_is_not_shown_but_made_again(words, store, cli, caplog):
    before = harness.load_results("a", store)["top1_last"].tolist()
    key = row_of("random_real", "a", store)["train_key"]
    edit_json(store / "store" / "train" / key / MANIFEST, top1_last=99.9)
    code, out, _ = cli(*words, "--dry-run")
    assert (code, "its result in the store is damaged" in out) == (0, True)
    code, out, _ = cli(*words, "--name", "b")
    assert (code, "99.9" in out) == (0, False)
    assert "manifest.json was changed after it was written" in caplog.text
    assert harness.load_results("b", store)["top1_last"].tolist() == before
    assert json.loads((set_aside(store)[0] / MANIFEST).read_text())["result"]["top1_last"] == 99.9


def test_a_job_with_a_damaged_or_missing_input_says_which(tiny_suite, store):
    """A flipped bit in a teacher's weights made a method choose other images, in silence."""
    request = make_request(suite=tiny_suite, methods=["herding"], ipc=[2], executor="local", store=store)
    resolved, plan = api_run.prepare(request)
    jobs = {job.kind: job for job in plan.jobs.values()}
    teacher = store / "store" / "teacher" / jobs["teacher"].key
    flip_bit(teacher / "model.safetensors")
    outcome = execute(jobs["synthesize"], resolved.context, lambda *_: None)
    assert (outcome.ok, outcome.missing, outcome.lost) == (False, jobs["teacher"].key, False)
    assert "model.safetensors has different content" in outcome.error
    assert not teacher.exists()
    again = execute(jobs["synthesize"], resolved.context, lambda *_: None)
    assert (again.missing, "no artefact teacher" in again.error) == (jobs["teacher"].key, True)
    set_aside(store)[0].rename(teacher)
    flip_bit(teacher / "model.safetensors")
    assert execute(jobs["synthesize"], resolved.context, lambda *_: None).ok


def test_a_sheet_of_images_that_cannot_be_read_is_left_out(tiny_suite, store, tmp_path, caplog):
    records = RunFolder(store / "runs" / "a").records
    for record in records:
        record["image_folder"] = str(store / "store" / "synthesize" / record["distilled_key"])
    image_of("random_real", store).write_bytes(b"no image")
    classes = api_run.prepare(make_request(suite=tiny_suite, methods=["random_real"]))[0].context.classes
    (sheet,) = write_sheets(records, classes, tmp_path / "sheets")
    assert sheet.name == "herding_ipc1_seed0.png"
    assert "no contact sheet for random_real, IPC 1, seed 0" in caplog.text


def test_a_disk_that_is_full_while_a_job_writes_fails_the_job_with_one_line(words, store, cli, monkeypatch):
    shutil.rmtree(store / "store" / "synthesize" / row_of("random_real", "a", store)["distilled_key"])
    with monkeypatch.context() as patch:
        patch.setattr("harness.jobs.distill.save_distilled", full)
        code, _, err = cli(*words, "--name", "b")
    assert (code, "Traceback" in err) == (1, False)
    told = f"its results could not be written: {store / 'store'}: No space left on device. Fix this, then run"
    assert told in " ".join(err.split())
    assert temporary_folders(store) == []
    assert cli(*words, "--name", "c")[0] == 0


@pytest.fixture
def small_files():
    """Let no file grow beyond so many bytes, as a quota would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_run_whose_page_is_refused_ends_with_one_message_and_can_be_reported(words, store, cli, small_files):
    """For real: the system refuses the bytes."""
    small_files(60_000)
    code, _, err = cli(*words, "--name", "b")
    small_files(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    assert (code, err.count("error:"), "Traceback" in err) == (2, 1, False)
    assert "run b: its files could not be written." in err
    assert "File too large. The jobs' results are kept in" in err
    assert temporary_folders(store) == []
    about = json.loads((store / "runs" / "b" / "run.json").read_text())
    assert (about["status"], "File too large" in about["error"]) == ("failed", True)
    code, out, _ = cli("report", "b", "--store", store)
    assert (code, "Leaderboard" in out) == (0, True)
    code, out, _ = cli("list", "runs", "--store", store)
    assert (code, "failed" in out) == (0, True)


@pytest.mark.parametrize("name", ["write_records", "write_sheets", "save_tables"])
def test_wherever_the_files_of_a_run_are_refused_it_is_one_message(name, words, store, cli, monkeypatch):
    monkeypatch.setattr(RunFolder if name == "write_records" else run_files, name, full)
    code, _, err = cli(*words, "--name", "b")
    assert (code, err.count("error:"), "Traceback" in err) == (2, 1, False)
    assert json.loads((store / "runs" / "b" / "run.json").read_text())["status"] == "failed"
    assert cli("show", "run", "b", "--store", store)[0] == (2 if name == "write_records" else 0)


def test_a_disk_that_is_full_when_a_run_begins_is_one_message(words, cli, monkeypatch):
    monkeypatch.setattr("harness.core.run_folder.write_text_atomically", full)
    code, _, err = cli(*words, "--name", "b")
    assert (code, err.count("error:"), "Traceback" in err) == (2, 1, False)
    assert "No space left on device" in err


def test_the_status_of_a_run_has_room_on_a_full_disk(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    run.write_about({"status": "running", "suite": {"name": "x"}, "environment": {"many": list(range(100))}})
    before = run.about_file.stat().st_size
    monkeypatch.setattr("harness.core.run_folder.write_text_atomically", full)
    run.write_about({"status": "failed", "error": "No space left", "suite": {"name": "x"}})
    assert json.loads(run.about_file.read_text())["status"] == "failed"
    assert run.about_file.stat().st_size == before
    with pytest.raises(OSError, match="No space left"):
        run.write_about({"status": "failed", "much": "x" * 10_000})
    assert json.loads(run.about_file.read_text())["status"] == "failed"


def test_a_checkpoint_that_is_refused_leaves_the_older_one(tmp_path, monkeypatch):
    kept = checkpoint.FolderCheckpoint(tmp_path)
    kept.save({"step": 1})
    monkeypatch.setattr(checkpoint, "save_state", full)
    with pytest.raises(OSError, match="No space left"):
        kept.save({"step": 2})
    assert kept.load() == {"step": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("text", ["{", "null", "\udcff"])
def test_a_spoiled_description_or_records_are_one_message(text, tmp_path, cli):
    for name in ("run.json", "records.json"):
        folder = make_run(tmp_path / name / "runs" / "r", [make_record()])
        (folder / name).write_bytes(text.encode(errors="surrogateescape"))
        for command in (("list", "runs"), ("report",), ("show", "run", "r"), ("verify", "r")):
            code, _, err = cli(*command, "--store", tmp_path / name)
            assert code in ((0, 2) if command[0] != "verify" else (1,)), (name, command)
            assert "Traceback" not in err


def test_a_run_that_is_interrupted_over_a_lost_set_still_leaves_its_records(words, store, cli, monkeypatch):
    def stopped(self):
        raise KeyboardInterrupt

    shutil.rmtree(store / "store" / "synthesize")
    monkeypatch.setattr("harness.execution.scheduler.Scheduler.run", stopped)
    assert cli(*words, "--name", "b")[0] == 130
    assert len(harness.load_results("b", store)) == 2


def test_a_damaged_set_is_not_exported_and_made_again_by_the_same_command(words, store, tmp_path, cli):
    flip_bit(image_of("random_real", store))
    wanted = {"method": "random_real", "ipc": 1, "to": tmp_path / "out", "store": store}
    with pytest.raises(
        UserError,
        match=r"is damaged: 3/00000.png has different content .* Run the same `harness run` command to create it again",
    ):
        harness.export("a", **wanted)
    assert cli(*words, "--name", "b")[0] == 0
    assert harness.export("b", **wanted)


def test_an_inspection_leaves_out_a_damaged_set_and_says_so(tiny_suite, store, cli, caplog):
    flip_bit(image_of("random_real", store))
    code, out, err = cli("inspect", "a", "--suite", tiny_suite, "--store", store)
    assert (code, "Traceback" in err) == (1, False)
    assert "is damaged: 3/00000.png" in caplog.text
    table = out.split("figures")[0]
    assert ("Herding" in table, "Random" in table) == (True, False)
