"""A plugin may be a folder; HARNESS_PLUGINS names folders that every command loads; what is wrong is told plainly."""

import os
import pickle

import pytest

from harness.core.errors import UserError
from harness.core.plugin import discovery, fingerprint
from harness.core.plugin.plugin_files import forget_modules, read_plugin
from tests.core.test_discovery import PLUGIN

METHOD = PLUGIN.replace("import torch\n", "import torch\nfrom .helper import VALUE\n").replace(
    "torch.zeros(", "VALUE * torch.zeros("
)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    (place / "in_folder.py").write_text(METHOD.format(name="in_folder"))
    (place / "helper.py").write_text("VALUE = 1\n")
    (place / "test_in_folder.py").write_text("raise RuntimeError('tests are not imported')\n")
    return place


@pytest.fixture
def own(monkeypatch):
    """Set HARNESS_PLUGINS, and look for methods again."""

    def put(*folders):
        monkeypatch.setenv("HARNESS_PLUGINS", os.pathsep.join(map(str, folders)))
        discovery.discover.__wrapped__()

    monkeypatch.setattr(discovery, "own_plugins", {})
    monkeypatch.setattr(discovery.methods, "_broken", {})
    return put


def test_the_files_of_a_folder_import_each_other(folder):
    assert discovery.load_plugin(folder) == ["in_folder"]


def test_a_helper_of_the_folder_and_its_init_are_in_the_fingerprint(folder):
    def code():
        discovery.load_plugin(folder)
        return fingerprint.code_fingerprint(discovery.methods.get("in_folder"))

    first = code()
    (folder / "unused.py").write_text("OTHER = 3\n")
    assert code() == first
    (folder / "helper.py").write_text("VALUE = 2\n")
    second = code()
    assert second != first
    (folder / "__init__.py").write_text("VALUE = 5\n")
    (folder / "in_folder.py").write_text(METHOD.format(name="in_folder").replace(".helper", "."))
    third = code()
    (folder / "__init__.py").write_text("VALUE = 6\n")
    assert len({first, second, third, code()}) == 4


def test_the_fingerprint_does_not_depend_on_the_place(folder, tmp_path):
    discovery.load_plugin(folder)
    before = fingerprint.code_fingerprint(discovery.methods.get("in_folder"))
    discovery.methods.forget("in_folder")
    discovery.load_plugin(folder.rename(tmp_path / "elsewhere"))
    assert fingerprint.code_fingerprint(discovery.methods.get("in_folder")) == before


def test_a_worker_without_the_files_runs_the_same_code(folder):
    plugin = pickle.loads(pickle.dumps(read_plugin(folder)))
    for file in folder.iterdir():
        file.unlink()
    assert discovery.load_plugin_source(plugin) == ["in_folder"]
    forget_modules(plugin)
    assert discovery.load_plugin_source(plugin) == ["in_folder"]


def test_packages_inside_a_folder_are_imported_whole(folder):
    inner = folder / "family"
    inner.mkdir()
    (inner / "__init__.py").write_text("from . import member\n")
    (inner / "member.py").write_text(METHOD.format(name="member").replace(".helper", "..helper"))
    assert discovery.load_plugin(folder) == ["in_folder", "member"]


MESSAGES = {
    "helper beside a file": (
        "from helper import VALUE\n",
        r"is a single file.*write `from \.helper import \.\.\.` and pass --plugin ",
    ),
    "relative in a file": ("from .helper import VALUE\n", r"is a single file.*pass --plugin "),
    "absent package": ("import no_such_package\n", r"No module named 'no_such_package'\. Install the package"),
    "bad name": (
        PLUGIN.format(name="MyMethod"),
        r"method 'MyMethod' \(class Mine\): the name must .* not 'MyMethod'\. Fix",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_what_is_wrong_with_a_plugin_is_one_plain_sentence(tmp_path, case):
    text, told = MESSAGES[case]
    (tmp_path / "p.py").write_text(text)
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    with pytest.raises(UserError, match=told) as error:
        discovery.load_plugin(tmp_path / "p.py")
    assert "UserError" not in str(error.value)
    assert ".." not in str(error.value).replace("...", "")


def test_a_folder_that_imports_absolutely_is_told_how(folder):
    (folder / "in_folder.py").write_text("from helper import VALUE\n")
    with pytest.raises(UserError, match=r"in_folder\.py: .*relative imports: write `from \.helper import"):
        discovery.load_plugin(folder)


def test_a_folder_without_python_files_and_a_missing_path_are_told(tmp_path):
    with pytest.raises(UserError, match="no Python file"):
        discovery.load_plugin(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        discovery.load_plugin(tmp_path / "nothing")


def test_every_command_loads_the_folders_of_harness_plugins(folder, tmp_path, own):
    other = tmp_path / "other"
    other.mkdir()
    (other / "second.py").write_text(PLUGIN.format(name="second"))
    own(folder, other)
    assert {"in_folder", "second"} <= set(discovery.methods.names())
    assert set(discovery.own_plugins) == {str(folder), str(other)}


def test_a_file_of_harness_plugins_that_fails_is_listed_and_stops_nothing(folder, own):
    (folder / "spoiled.py").write_text("import no_such_package\n")
    own(folder)
    assert "in_folder" in discovery.methods
    assert "No module named 'no_such_package'" in discovery.methods.broken["spoiled"]


def test_a_worker_keeps_the_text_of_the_driver(folder, own):
    """Its own copy of the folder may have been edited meanwhile."""
    discovery.load_plugin_source(read_plugin(folder, own=True))
    before = fingerprint.code_fingerprint(discovery.methods.get("in_folder"))
    (folder / "helper.py").write_text("VALUE = 2\n")
    own(folder)
    assert fingerprint.code_fingerprint(discovery.methods.get("in_folder")) == before


def test_a_folder_of_harness_plugins_that_is_not_there_is_named(tmp_path, own):
    with pytest.raises(UserError, match=r"HARNESS_PLUGINS: no folder .*nowhere"):
        own(tmp_path / "nowhere")
