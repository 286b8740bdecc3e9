"""A run that somebody sent is data: every command shows a table or one message, runs nothing, writes only in its folder."""

import contextlib
import hashlib
import re
import socket
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

import harness
from harness.api.report import write_page
from harness.core.errors import UserError
from tests.helpers.hostile_runs import HOSTILE, SECRET, make_plain, make_victims


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A reader's folder: victims in `outside`, runs of strangers in `received/runs`, a working directory and an own store."""
    make_victims(tmp_path / "outside")
    (tmp_path / "received" / "runs").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "mine"))
    style = import_module("harness.reporters.figures.style")  # the package has a function of that name
    monkeypatch.setattr(style, "DPI", 30)  # small files: what is drawn does not matter here
    monkeypatch.setitem(style.SCREEN.settings, "pdf.fonttype", 3)
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    """What was asked of a network or of a file system by URI."""
    asked = []

    def refuse(*args, **_):
        asked.append(args)
        raise OSError("no network for what a run names")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("fsspec.core.url_to_fs", refuse)
    return asked


def state(place: Path, *but: Path) -> dict[str, str]:
    """Return every file and link below a folder, with its content, but for those below some folders."""
    found = {}
    for path in sorted(place.rglob("*")):
        if not any(path.is_relative_to(one) for one in but):
            regular = path.is_file() and not path.is_symlink()
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if regular else "no file"
    return found


COMMANDS = (
    ("report", "--html", "--figures"), ("report", "--format", "latex"), ("inspect",),
    ("export", "--method", "dit", "--ipc", "10", "--to", "../to/set"), ("show", "run"), ("list", "runs"), ("verify",),
    ("evaluate", "--suite", "digits", "--ipc", "1", "--as", "theirs", "--dry-run"),
)  # fmt: skip


OF_STORES = (("report", "--html"), COMMANDS[3])
"""Commands for runs that are harmless but for the store that they name; drawing takes long."""


TERMINAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_run_gives_a_table_or_a_message_and_nothing_else(name, place, cli, asked):
    folder = place / "received" / "runs" / "theirs"
    HOSTILE[name](folder, place / "outside")
    before = state(place, folder)
    for command in COMMANDS if not name.startswith("store_") else OF_STORES:
        named = ["--store", place / "received"] if command[0] == "list" else [folder]
        code, out, err = cli(*command, *named)
        assert code in ((0, 1) if command[0] == "verify" else (0, 2)), (command, out, err)
        assert out.strip() if code < 2 else err.count("error:") == 1, (command, out, err)
        assert not TERMINAL.search(out + err), (command, out, err)
        assert "Traceback" not in err
    for ask in (harness.load_results, harness.report, write_page, partial(harness.figures, kinds=["curves"])):
        with contextlib.suppress(UserError):
            ask(folder)
    assert state(place, folder) == before
    assert not asked
    page = folder / "index.html"
    text = page.read_text() if page.is_file() and not page.is_symlink() else ""
    assert SECRET not in text
    assert not re.search(r"@misc\{[^,]*[{}]", text)
    assert not re.search(r"<img src=x|<script>alert|<b onclick|svg\+xml", text)
    assert name != "linked_files" or not re.search(r">Cost|: Cost", text), "a picture behind a link is not shown"


def test_inspect_runs_no_plugin_that_the_run_names(place, cli):
    """The first way in: `harness inspect` ran the sender's Python."""
    folder = place / "received" / "runs" / "theirs"
    HOSTILE["plugin_and_suite_file"](folder, place / "outside")
    code, _, err = cli("inspect", folder)
    assert not (place / "outside" / "ran.txt").exists()
    assert code == 2
    assert f"--plugin {place / 'outside' / 'plugin.py'}" in err
    cli("inspect", folder, "--plugin", place / "outside" / "plugin.py")
    assert (place / "outside" / "ran.txt").exists(), "named by the reader it is loaded"


def test_figures_download_nothing_from_a_store_that_the_run_names(place, cli):
    """The second way in: names of that store's manifest wrote files anywhere."""
    import fsspec

    memory = fsspec.filesystem("memory")
    manifest = '{"files": {"../../../../../../../%s/outside/written.txt": {"size": 1, "sha256": ""}}}'
    memory.pipe_file(f"/theirs/store/train/{'cd' * 16}/manifest.json", (manifest % str(place).lstrip("/")).encode())
    folder = place / "received" / "runs" / "theirs"
    HOSTILE["store_in_memory"](folder, place / "outside")
    code, _, err = cli("report", folder, "--figures")
    assert (code, "--store memory://theirs" in err) == (0, True)
    code, _, err = cli("report", folder, "--figures", "--store", "memory://theirs")
    assert (code, "is not a plain relative path" in err) == (2, True)
    assert not list(place.rglob("written.txt"))


def test_tables_are_not_written_through_links(place, cli):
    """The third way in: a file of the reader's was overwritten."""
    folder = place / "received" / "runs" / "theirs"
    HOSTILE["linked_table"](folder, place / "outside")
    code, out, _ = cli("report", folder)
    assert (code, "Leaderboard" in out) == (0, True)
    assert (place / "outside" / "secret.txt").read_text() == SECRET
    assert not (folder / "tables" / "leaderboard.md").is_symlink()


def test_a_run_that_is_as_it_should_be_is_shown(place, cli):
    folder = make_plain(place / "received" / "runs" / "fine")
    code, out, err = cli("report", folder, "--html")
    assert (code, err) == (0, "")
    assert "Dit" in out
    assert (folder / "index.html").is_file()


@pytest.mark.parametrize(("name", "option"), [("tables", "--html"), ("figures", "--figures"), ("index.html", "--html")])
def test_what_cannot_be_written_is_one_message_below_the_tables(name, option, place, cli):
    folder = make_plain(place / "received" / "runs" / "full")
    if name == "index.html":
        (folder / name).mkdir()
    else:
        (folder / name).write_text("in the way")
    code, out, err = cli("report", folder, option)
    assert (code, "Leaderboard" in out, err.count("cannot be written")) == (2, True, 1)
