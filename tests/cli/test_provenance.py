"""A stranger's test: from the number of a record to its log, its inputs and its code, in three commands."""

import platform
import re

import pytest

import harness
from harness.cli.provenance import find_artefact
from harness.core.run_folder import RunFolder
from harness.core.store import Store


@pytest.fixture(scope="module")
def traced(tiny_suite, shared_store):
    """A run with a fit, a generator and a teacher."""
    return harness.run(
        methods=["minimax", "herding"], suite=tiny_suite, ipc=[1], executor="local", store=shared_store, name="traced"
    )


def test_three_commands_lead_from_a_number_to_log_inputs_and_code(traced, shared_store, cli):
    row = harness.load_results(traced).set_index("method").loc["minimax"]
    code, out, _ = cli("show", "run", "traced", "--store", shared_store)
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("minimax"))
    assert f"{row['top1_best']:.2f}" in line
    key = line.split()[-1]
    assert row["train_key"].startswith(key)
    assert "harness run --suite" in out

    code, out, _ = cli("show", "job", key[:6], "--store", shared_store)
    assert code == 0
    about = Store(shared_store).manifest("train", row["train_key"])
    assert f"run traced: top-1 best {row['top1_best']:.2f}" in out
    assert "data fingerprint" in out
    assert about["ended"] in out
    for needed in ("synthesize minimax", "fit minimax", "prior class_conditional"):
        assert re.search(rf"^ +{needed}", out, re.M), needed
    assert re.search(r"code +[0-9a-f]+; .*minimax.*\.py, unchanged since", out)
    assert '"epochs"' in out
    log = Store(shared_store).path("train", row["train_key"]) / "log.txt"
    assert str(log) in out

    code, out, _ = cli("show", "log", key, "--store", shared_store)
    assert (code, out) == (0, log.read_text())


def test_an_input_of_two_jobs_is_shown_once(traced, shared_store, cli):
    row = harness.load_results(traced).set_index("method").loc["minimax"]
    _, out, _ = cli("show", "job", row["train_key"], "--store", shared_store)
    assert out.count("prior class_conditional") == 2
    assert out.count("shown above") == 1


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("abc", r"'abc' is not a key: expected 6 to 32 hex digits"),
        ("../../etc", r"is not a key"),
        ("000000", r"no job whose key starts with 000000 in store .*harness show run RUN"),
    ],
)
def test_a_key_that_is_none_is_refused(key, told, traced, shared_store, cli):
    code, _, err = cli("show", "job", key, "--store", shared_store)
    assert code == 2
    assert re.search(told, err)


def test_a_beginning_that_two_jobs_share_is_refused(tmp_path):
    store = Store(tmp_path)
    for kind, key in (("fit", "abcdef" + "0" * 26), ("train", "abcdef" + "1" * 26)):
        store.write(kind, key, lambda folder: {})
    with pytest.raises(harness.UserError, match=r"2 jobs match abcdef: fit abcdef0+, train abcdef1+. Use more digits"):
        find_artefact("abcdef", store)
    assert find_artefact("abcdef1", store) == ("train", "abcdef" + "1" * 26)


def test_an_artefact_from_before_logs_says_so(tmp_path, cli):
    Store(tmp_path).write("fit", "ab" * 16, lambda folder: {"title": "fit old\x1b[31m", "deps": {"fit": ["cd" * 16]}})
    code, out, _ = cli("show", "job", "abababab", "--store", tmp_path)
    assert code == 0
    assert "none: made before logs were recorded" in out
    assert "no longer in the store" in out
    assert "\x1b" not in out
    code, _, err = cli("show", "log", "abababab", "--store", tmp_path)
    assert code == 2
    assert "made before logs were recorded" in err


def test_a_job_says_its_machine_and_a_record_what_it_was_tried_again_for(traced, shared_store, cli):
    folder = RunFolder(traced.folder)
    row = next(one for one in folder.records if one["method"] == "minimax")
    _, out, _ = cli("show", "job", row["train_key"], "--store", shared_store)
    assert f" of {platform.node()}" in out
    assert "attempts" not in out
    assert (row["host"], row["attempts"], row["lost_s"]) == (platform.node(), 1, 0)
    disturbed = {"attempts": 3, "lost_to": "node h left", "lost_s": 61.0}
    kept = folder.records_file.read_text()
    folder.write_records([{**one, **disturbed} for one in folder.records])
    _, out, _ = cli("show", "job", row["train_key"], "--store", shared_store)
    folder.records_file.write_text(kept)
    assert "; 3 attempts, 1m 01s lost to: node h left" in out
