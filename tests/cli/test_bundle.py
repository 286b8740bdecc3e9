"""`harness bundle` and `harness report FILE.zip`: what they print, their exit codes, and that they leave nothing behind."""

import re
import shutil

import pytest

import harness
from tests.helpers.hostile_bundles import HOSTILE, changed, files_of, first_done, write


@pytest.fixture(scope="module")
def store(tiny_suite, shared_store):
    harness.run(methods=["random_real"], suite=tiny_suite, ipc=[1, 2], distill_seeds=[0, 1], executor="local", name="cli_sent",
                store=shared_store, reference=False)  # fmt: skip
    return shared_store


@pytest.fixture
def work(store, tmp_path, monkeypatch):
    """A reader's folder with a bundle in it, and temporary files beside."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    harness.bundle("cli_sent", to="theirs.zip", store=store)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path / "work"


def test_a_run_is_bundled_reported_and_checked(cli, store, work):
    code, out, err = cli("bundle", "cli_sent", "--to", "mine.zip", "--store", store)
    assert (code, err) == (0, "")
    assert re.match(r"wrote mine\.zip \(\d+\.\d KiB\)\n", out)
    assert (work / "mine.zip").read_bytes() == (work / "theirs.zip").read_bytes()
    code, out, err = cli("report", "mine.zip", "--layout", "leaderboard")
    assert (code, err) == (0, "")
    assert "Random real" in out
    assert "Source: mine.zip: the files are those that were sent" in " ".join(out.split())
    code, out, err = cli("bundle", "--check", "mine.zip", "theirs.zip", "--limit", "2MB")
    assert (code, err, out.count("no problems found")) == (0, "", 2)
    assert "4 records (4 done)" in out
    assert sorted(path.name for path in work.iterdir()) == ["mine.zip", "theirs.zip"]


def test_the_help_says_what_is_left_out(cli):
    _, out, _ = cli("bundle", "--help")
    text = " ".join(out.split())
    assert "Left out is what is private" in text
    assert "look at run.json" in text


@pytest.mark.parametrize(
    "name", ["climbing", "link", "bomb_in_a_zip", "forged_key", "html_in_a_name", "escapes_in_a_name"]
)
def test_a_hostile_bundle_is_one_message_and_exit_code_2(name, cli, work):
    told, make = HOSTILE[name]
    make(files_of(work / "theirs.zip"), work / "evil.zip")
    for command in (
        ("report",),
        ("report", "--html"),
        ("bundle", "--check"),
        ("report", "--to", "kept"),
        ("show", "run"),
    ):
        code, out, err = cli(*command, "evil.zip")
        assert (code, out, err.count("error:")) == (2, "", 1), command
        assert told in err
        assert "\x1b" not in err
        assert "Traceback" not in err
    assert sorted(path.name for path in work.iterdir()) == ["evil.zip", "theirs.zip"]
    assert not list((work.parent / "temporary").iterdir())


def test_a_check_names_every_bundle_that_is_refused(cli, work):
    forged = changed(files_of(work / "theirs.zip"), "records.json.gz", lambda rows: first_done(rows, training_seed=9))
    write(forged, work / "forged.zip")
    code, out, err = cli("bundle", "--check", "forged.zip", "theirs.zip", "none.zip")
    assert (code, out.count("no problems found"), err.count("error:")) == (2, 1, 2)
    assert "forged.zip" in err
    assert "none.zip: file not found" in err
    code, _, err = cli("bundle", "--check", "theirs.zip", "--limit", "1kB")
    assert (code, "more than --limit (1,000" in err) == (2, True)


def test_a_bundle_becomes_a_run_in_a_folder_of_the_readers_choice(cli, work):
    code, _, err = cli("report", "theirs.zip", "--html")
    assert (code, "harness report theirs.zip --to FOLDER" in err) == (2, True)
    code, out, err = cli("report", "theirs.zip", "--to", "kept", "--html")
    assert (code, err) == (0, "")
    assert "kept/index.html" in out
    assert {"run.json", "records.json", "tables", "images", "index.html"} <= {p.name for p in (work / "kept").iterdir()}
    assert "data:image/" in (work / "kept" / "index.html").read_text()
    code, _, err = cli("report", "theirs.zip", "--to", "kept")
    assert (code, "nothing is overwritten" in err) == (2, True)
    code, _, err = cli("report", "--to", "other")
    assert (code, "it unpacks one bundle" in err) == (2, True)


def test_of_a_folder_of_bundles_each_is_shown(cli, work):
    """Two protocols of one reference do not fit into one table."""
    (work / "shelf").mkdir()
    for name in ("anna", "ben"):
        shutil.copy(work / "theirs.zip", work / "shelf" / f"{name}.zip")
    code, out, err = cli("report", "shelf", "--layout", "paper")
    assert (code, err) == (0, "")
    assert out.index("bundle shelf/anna.zip") < out.index("bundle shelf/ben.zip")
    assert out.count("Paper table:") == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--check",), "--check takes bundles"), ((), "name the output file"), (("a", "b", "--to", "x.zip"), "holds one run"),
     (("--check", "theirs.zip", "--to", "x.zip"), "without --to"), (("--check", "theirs.zip", "--limit", "much"), "--limit")],
)  # fmt: skip
def test_what_does_not_fit_together_is_one_message(words, told, cli, work):
    code, _, err = cli("bundle", *words)
    assert (code, told in err, err.count("error:")) == (2, True, 1)
