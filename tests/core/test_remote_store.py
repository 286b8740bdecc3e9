"""A store behind a URI: what is there is what the remote says, and nothing is copied before it is read."""

import os
import shutil
import stat
import tempfile

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import harness
from harness.core.errors import UserError
from harness.core.store import MANIFEST, Store

KEY = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2


def fill(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text("hello")
    return {"result": {"x": 1}}


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr("harness.core.remote.WAITS_S", (0.0, 0.0))


@pytest.fixture
def uri(tmp_path):
    yield f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def calls(monkeypatch):
    """Calls of the file system, by name."""
    made = []
    for name in ("get_file", "ls", "exists", "cat_file", "put_file"):
        real = getattr(MemoryFileSystem, name)

        def noted(self, *args, real=real, name=name, **options):
            made.append(name)
            return real(self, *args, **options)

        monkeypatch.setattr(MemoryFileSystem, name, noted)
    return made


def forget(store):
    """Do as another machine: nothing was copied yet."""
    shutil.rmtree(store.root, ignore_errors=True)


def remote_text(uri, name):
    filesystem, path = fsspec.core.url_to_fs(uri)
    return filesystem.cat_file(f"{path}/{name}").decode()


def test_asking_whether_an_artefact_is_there_copies_nothing(uri, calls):
    Store(uri).write("fit", KEY, fill)
    forget(Store(uri))
    store = Store(uri)
    calls.clear()
    assert store.has("fit", KEY)
    assert not any(store.has("fit", f"{n:032x}") for n in range(50))
    assert "get_file" not in calls
    assert calls.count("ls") == 1
    assert calls.count("exists") <= 1
    assert not store.path("fit", KEY).exists()


def test_a_manifest_is_read_without_the_files(uri, calls):
    Store(uri).write("fit", KEY, fill)
    forget(Store(uri))
    calls.clear()
    assert Store(uri).manifest("fit", KEY)["result"] == {"x": 1}
    assert "get_file" not in calls


def test_files_are_copied_once(uri, calls):
    Store(uri).write("fit", KEY, fill)
    forget(Store(uri))
    calls.clear()
    for _ in range(3):
        assert (Store(uri).fetch("fit", KEY) / "sub" / "a.txt").read_text() == "hello"
    assert calls.count("get_file") == 1


def test_what_another_machine_wrote_meanwhile_is_fetched(uri):
    store = Store(uri)
    assert not store.has("fit", KEY)
    Store(uri).write("fit", KEY, fill)
    assert store.has("fit", KEY, anew=True)
    assert store.fetch("fit", KEY).is_dir()
    assert store.manifest("fit", KEY)["key"] == KEY


def test_own_writes_are_there_at_once(uri):
    store = Store(uri)
    assert not store.has("fit", KEY)
    store.write("fit", KEY, fill)
    assert store.has("fit", KEY)


def test_after_a_failed_upload_the_artefact_is_not_there_and_writing_again_mends_it(uri, monkeypatch):
    def broken(self, lpath, rpath, **options):
        if rpath.endswith(MANIFEST):
            raise OSError("connection lost")
        real(self, lpath, rpath, **options)

    real = MemoryFileSystem.put_file
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", broken)
        with pytest.raises(OSError, match="connection lost"):
            Store(uri).write("fit", KEY, fill)
    assert not Store(uri).has("fit", KEY)
    with pytest.raises(FileNotFoundError, match="no artefact"):
        Store(uri).fetch("fit", KEY)
    Store(uri).write("fit", KEY, fill)
    forget(Store(uri))
    assert Store(uri).damage("fit", KEY) == ""


def test_an_artefact_that_was_made_again_elsewhere_is_copied_again(uri):
    Store(uri).write("fit", KEY, fill)
    kept = Store(uri)
    assert kept.fetch("fit", KEY).is_dir()
    shutil.move(kept.root, f"{kept.root}-aside")
    Store(uri).write("fit", KEY, lambda folder: {**fill(folder), "result": {"x": 2}}, replace=True)
    forget(kept)
    shutil.move(f"{kept.root}-aside", kept.root)
    assert MANIFEST in os.listdir(kept.fetch("fit", KEY))
    assert '"x": 2' in (kept.path("fit", KEY) / MANIFEST).read_text()


def test_while_an_artefact_is_replaced_it_is_not_there(uri, monkeypatch):
    """Else its manifest would speak of files that are half replaced."""
    Store(uri).write("fit", KEY, fill)
    real, seen = MemoryFileSystem.put_file, []

    def watched(self, *args, **options):
        seen.append(Store(uri).has("fit", KEY))
        return real(self, *args, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", watched)
    Store(uri).write("fit", KEY, fill, replace=True)
    assert seen == [False, False]
    assert Store(uri).has("fit", KEY)


def test_who_comes_second_does_not_upload_over_the_first(uri):
    def slow(folder):
        elsewhere = Store(uri)
        elsewhere.root = elsewhere.root.with_name("elsewhere")
        elsewhere.folder = elsewhere.root / "store"
        elsewhere.write("fit", KEY, lambda f: {**fill(f), "result": {"x": 2}})
        return fill(folder)

    Store(uri).write("fit", KEY, slow)
    assert Store(uri).manifest("fit", KEY)["result"] == {"x": 2}
    assert '"x": 2' in (Store(uri).fetch("fit", KEY) / MANIFEST).read_text()


def test_a_manifest_may_not_name_files_outside_of_its_folder(uri):
    Store(uri).write("fit", KEY, fill)
    filesystem, path = fsspec.core.url_to_fs(uri)
    text = remote_text(uri, f"store/fit/{KEY}/{MANIFEST}").replace("sub/a.txt", "../../../a.txt")
    filesystem.pipe(f"{path}/store/fit/{KEY}/{MANIFEST}", text.encode())
    forget(Store(uri))
    with pytest.raises(UserError, match=r"'../../../a.txt' is not a plain relative path"):
        Store(uri).fetch("fit", KEY)


def test_the_cache_is_this_users_alone(uri, tmp_path):
    store = Store(uri)
    store.write("fit", KEY, fill)
    (top,) = (tmp_path / "tmp").iterdir()
    assert str(os.getuid()) in top.name
    assert stat.S_IMODE(top.stat().st_mode) == 0o700
    top.chmod(0o777)
    with pytest.raises(UserError, match="is writable by other users"):
        Store(uri).fetch("fit", KEY)
    top.chmod(0o700)
    moved = top.rename(tmp_path / "elsewhere")
    top.symlink_to(moved)
    with pytest.raises(UserError, match="is owned by another user"):
        Store(uri).fetch("fit", KEY)


@pytest.fixture
def made(uri, tiny_suite, real_figures, monkeypatch):
    monkeypatch.setattr("harness.api.run_files.figures", real_figures)
    return harness.run(methods=["random_real"], suite=tiny_suite, ipc=[1], executor="local", store=uri, name="first")


def test_a_run_is_kept_at_the_remote_and_found_when_the_cache_is_gone(made, uri, tiny_suite, tmp_path, cli, calls):
    from harness.api import report

    files = {p.relative_to(made.folder).as_posix() for p in made.folder.rglob("*") if p.is_file()}
    accuracy = harness.load_results(made)["top1_best"].tolist()
    forget(Store(uri))
    assert [f.name for f in harness.find_runs(store=uri)] == ["first"]
    assert harness.load_results("first", uri)["top1_best"].tolist() == accuracy
    forget(Store(uri))
    code, out, _ = cli("list", "runs", "--store", uri)
    assert (code, "first" in out, "2 run, 0 cached" in out) == (0, True, True)
    assert not (made.folder / "images").exists(), "a list needs no images"
    page = report.write_page(harness.find_runs(store=uri)[0])
    assert page.read_text().count("<img") > 1
    forget(Store(uri))
    code, out, _ = cli("report", "--store", uri)
    assert code == 0
    assert "Random real" in out
    assert {p.relative_to(made.folder).as_posix() for p in made.folder.rglob("*") if p.is_file()} >= files

    forget(Store(uri))
    calls.clear()
    code, out, _ = cli(
        "run", "--suite", tiny_suite, "--methods", "random_real", "--ipc", "1", "--executor", "local", "--store", uri,
        "--dry-run",
    )  # fmt: skip
    assert code == 0
    assert "get_file" not in calls
    table = {line.split()[0]: line.split()[2] for line in out.splitlines() if line.startswith(("synth", "train"))}
    assert table["synthesize"] == table["train"] == "1"
    assert "expected:" not in out, "nothing is to be run"

    with pytest.raises(UserError, match="a run with that name exists"):
        harness.run(methods=["random_real"], suite=tiny_suite, ipc=[1], executor="local", store=uri, name="first")
    exported = harness.export(made.folder, method="random_real", ipc=1, to=tmp_path / "out", store=uri)
    assert len(list(exported.glob("*/*.png"))) == 10


def test_a_set_of_a_run_given_by_folder_is_exported_from_the_remote(made, tmp_path):
    shutil.rmtree(made.folder.parent.parent / "store")
    exported = harness.export(made.folder, method="random_real", ipc=1, to=tmp_path / "out")
    assert len(list(exported.glob("*/*.png"))) == 10


def test_a_run_that_could_not_be_copied_to_the_remote_says_where_it_is(uri, tiny_suite, monkeypatch):
    real = MemoryFileSystem.put_file

    def broken(self, lpath, rpath, **options):
        if "/runs/" in rpath:
            raise OSError("connection lost")
        real(self, lpath, rpath, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", broken)
    with pytest.raises(UserError, match=r"connection lost.*are in .*/runs/r"):
        harness.run(methods=["random_real"], suite=tiny_suite, ipc=[1], executor="local", store=uri, name="r")
    monkeypatch.undo()


def test_who_looks_at_a_run_that_goes_on_here_does_not_turn_it_back(uri):
    """`harness status --watch` beside it would else put back what the remote had a moment ago."""
    from harness.core.remote_runs import fetch_run, fetch_runs, upload_run, upload_run_file

    store = Store(uri)
    store.make_cache()
    folder = store.runs / "r"
    folder.mkdir(parents=True)
    for text in ("begun", "ended"):
        (folder / "run.json").write_text(text)
        if text == "begun":
            upload_run(store, folder)
    fetch_runs(Store(uri))
    fetch_run(Store(uri), "r")
    assert (folder / "run.json").read_text() == "ended"
    assert upload_run_file(store, folder, "run.json")
    forget(store)
    assert (fetch_run(store, "r") / "run.json").read_text() == "ended"
    assert {path.name for path in folder.iterdir()} == {"run.json"}
    assert not upload_run_file(store, folder, "none.json")


@pytest.mark.parametrize("scheme", ["nonsense", "memory"])
def test_a_remote_that_cannot_be_read_is_one_message_and_leaves_no_folder(
    scheme, tmp_path, cli, monkeypatch, tiny_suite
):
    def refuse(self, *_, **__):
        raise PermissionError("403 forbidden")

    monkeypatch.setattr(MemoryFileSystem, "ls", refuse)
    monkeypatch.setattr(MemoryFileSystem, "makedirs", refuse)
    uri = f"{scheme}://nobody"
    code, _, err = cli("list", "runs", "--store", uri)
    assert code == 2
    assert f"store {uri}: cannot be read" in err
    with pytest.raises(UserError, match=f"store {uri}: cannot be"):
        Store(uri).check_writable()
    code, _, err = cli("run", "--suite", tiny_suite, "--methods", "random_real", "--executor", "local", "--store", uri)
    assert code == 2
    assert f"store {uri}: cannot be" in err
    assert not list((tmp_path / "tmp").iterdir())
