"""`harness data`: messages instead of tracebacks, and what it prints can be typed."""

import shlex

import pytest

from tests.helpers.archive_server import files, serve, tgz, write_suite

CONTENT = tgz(files())


def test_data_are_fetched_checked_and_used_by_the_commands_that_it_prints(cli, tmp_path):
    root = ("--data-root", tmp_path / "data")
    with serve(CONTENT) as (url, _):
        suite = write_suite(tmp_path, url, CONTENT)
        code, out, err = cli("data", "fetch", suite, *root)
    assert code == 0, err
    assert "downloading" in err
    lines = [line.strip() for line in out.splitlines()]
    check, run = (shlex.split(line)[1:] for line in lines if line.startswith("harness "))

    code, out, err = cli(*check, *root)
    assert code == 0, err
    assert "image folder tiny2: Tiny 2" in out
    assert "6 images, 2 in each of 3 classes" in out
    code, _, err = cli(*run, *root, "--methods", "random_real", "--dry-run", "--store", tmp_path / "store")
    assert code == 0, err

    code, out, _ = cli("data", "fetch", suite, *root)
    assert code == 0
    assert "already in" in out


def test_the_source_stands_in_the_caption_of_every_table(tmp_path):
    import harness

    (tmp_path / "mine.tgz").write_bytes(CONTENT)
    from harness.core.suites import load_suite
    from harness.data.fetch.suite_data import fetch

    suite = write_suite(tmp_path, "http://127.0.0.1:9/files/tiny2.tgz", CONTENT)
    fetch(load_suite(str(suite)), tmp_path / "data", lambda *_: None, archive=tmp_path / "mine.tgz")
    run = harness.run(
        methods=["random_real"], suite=suite, data_root=tmp_path / "data", executor="local", store=tmp_path / "store",
        seeds=[0], settings={"data.root": "tiny2", "protocol.epochs": {"up_to": [], "above": 1}},
    )  # fmt: skip
    tables = harness.report(run)
    assert len(tables) >= 3
    assert all("source: image folder tiny2: Tiny 2" in table.caption for table in tables.values())


def test_a_checksum_that_is_not_declared_is_printed(cli, tmp_path):
    with serve(CONTENT) as (url, _):
        suite = write_suite(tmp_path, url, CONTENT, md5=None, num_bytes=None)
        code, out, err = cli("data", "fetch", suite, "--data-root", tmp_path / "data")
    assert code == 0, err
    assert "no checksum is known for this archive; it was accepted unchecked, SHA-256 " in out


def test_images_that_cannot_be_read_are_named(cli, tmp_path):
    (tmp_path / "mine.tgz").write_bytes(CONTENT)
    suite = write_suite(tmp_path, "http://127.0.0.1:9/files/tiny2.tgz", CONTENT)
    root = ("--data-root", tmp_path / "data")
    assert cli("data", "fetch", suite, "--archive", tmp_path / "mine.tgz", *root)[0] == 0
    (tmp_path / "data" / "tiny2" / "val" / "n02" / "n02_0.JPEG").write_text("no image")
    code, out, err = cli("data", "check", suite, "--set", "data.root=tiny2", *root)
    assert code == 2
    assert "n02_0.JPEG: not an image of a known format" in err
    assert "fingerprint" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["check", "imagewof"], "Did you mean 'imagewoof'"),
        (["check", "imagewoof", "--set", "protocol.lr=1"], "accepts only data fields"),
        (["check", "imagewoof", "--set", "data.rot=x"], "Did you mean 'root'"),
        (["check", "imagewoof"], "harness data fetch imagewoof"),
        (["check", "imagenet1k"], "sign in"),
        (["fetch", "imagenet1k"], "sign in"),
        (["fetch", "imagenette", "--variant", "320px"], "Did you mean '320'"),
        (["fetch", "imagenette", "--archive", "absent.tgz"], "file not found"),
        (["fetch"], "Missing argument"),
    ],
)
def test_a_mistake_is_one_message_and_writes_nothing(cli, tmp_path, arguments, told):
    more = [] if arguments == ["fetch"] else ["--data-root", tmp_path]
    code, out, err = cli("data", *arguments, *more)
    assert code == 2
    assert told in err
    assert "Traceback" not in out + err
    assert not list(tmp_path.iterdir())
