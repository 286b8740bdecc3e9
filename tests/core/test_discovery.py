"""Methods are found by their files; edits of code change the fingerprint, comments do not."""

import sys
from types import SimpleNamespace

import pytest

from harness.core.errors import UserError
from harness.core.plugin import discovery, fingerprint

PLUGIN = '''
import torch
from harness import DistilledSet, Method, register_method

@register_method("{name}")
class Mine(Method):
    """Says something."""
    title = "Mine"

    def synthesize(self, task, state, ipc):
        # a comment
        return DistilledSet({{c.id: torch.zeros(ipc, 3, 1, 1) for c in task.classes}})
'''


def test_every_file_of_methods_is_found_without_a_list():
    from pathlib import Path

    import methods

    discovery.discover()
    files = {p.stem for p in Path(methods.__path__[0]).glob("*.py") if not p.stem.startswith("_")}
    assert files <= {*discovery.methods.names(), *discovery.methods.broken}
    assert discovery.methods.broken == {}


def test_a_plugin_file_is_imported_once_and_named(tmp_path):
    path = tmp_path / "p.py"
    path.write_text(PLUGIN.format(name="found_plugin"))
    assert discovery.load_plugin(path) == ["found_plugin"]
    assert discovery.load_plugin(path) == ["found_plugin"]
    assert "found_plugin" in discovery.methods


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def broken(:\n", r"syntax error in .*p\.py, line 1"),
        ("import no_such_package\n", "ModuleNotFoundError"),
        ("x = 1\n", "registers nothing"),
        (
            "from harness import register_method\nregister_method('z')(3)\n",
            "expected a subclass of harness.Method",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_says_why(tmp_path, text, told):
    path = tmp_path / "p.py"
    path.write_text(text)
    with pytest.raises(UserError, match=told):
        discovery.load_plugin(path)
    assert not [name for name in sys.modules if getattr(sys.modules[name], "__file__", None) == str(path)]


def test_a_missing_plugin_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.py: no such file or folder"):
        discovery.load_plugin(tmp_path / "nothing.py")


def test_two_methods_of_one_name_are_refused(tmp_path):
    for number in (1, 2):
        path = tmp_path / f"p{number}.py"
        path.write_text(PLUGIN.format(name="twice") + f"\nNUMBER = {number}\n")
        if number == 1:
            discovery.load_plugin(path)
        else:
            with pytest.raises(UserError, match="registered twice"):
                discovery.load_plugin(path)


def test_comments_docstrings_and_layout_keep_the_fingerprint_and_code_changes_it():
    source = PLUGIN.format(name="x")
    same = source.replace("# a comment", "# another").replace("Says something.", "Says more.").replace("\n\n", "\n\n\n")
    assert fingerprint.tree_hash(source) == fingerprint.tree_hash(same)
    assert fingerprint.tree_hash(source) != fingerprint.tree_hash(source.replace("zeros", "ones"))


def test_a_method_built_on_another_changes_with_it():
    """minimax samples through methods/dit.py: an edit there must change minimax's keys too."""
    discovery.discover()
    modules = fingerprint._own_modules(sys.modules["methods.minimax"])
    assert {module.__name__ for module in modules} == {"methods.minimax", "methods.dit", "methods._sampling"}


BAD_DECLARATIONS = {
    "name": ("my/method", "", "lower-case identifier"),
    "long name": ("a" * 300, "", "at most 60 characters"),
    "default": (
        "fine",
        "class Config(Method.Config):\n        steps: int = __import__('pydantic').Field(0, ge=1)\n",
        "the default of option 'steps': Input should be greater than or equal to 1",
    ),
    "reserved name": ("all", "", "lower-case identifier"),
    "version": ("fine", "version = '1.0'", "`version` must be an integer"),
    "needs": ("fine", "needs = 'features'", "`needs` must be a set"),
    "title": ("fine", "title = 3", "must be strings"),
    "config": ("fine", "Config = dict", "subclass of Method.Config"),
}


@pytest.mark.parametrize("case", BAD_DECLARATIONS)
def test_a_declaration_that_would_break_tables_or_keys_is_refused(tmp_path, case):
    name, line, told = BAD_DECLARATIONS[case]
    path = tmp_path / "p.py"
    path.write_text(PLUGIN.format(name=name).replace("title = ", f"{line}\n    other = "))
    with pytest.raises(UserError, match=told):
        discovery.load_plugin(path)


def test_a_plugin_may_not_take_the_name_of_a_method_that_exists(tmp_path):
    path = tmp_path / "p.py"
    path.write_text(PLUGIN.format(name="minimax"))
    with pytest.raises(UserError, match="registered twice"):
        discovery.load_plugin(path)
    assert discovery.methods.get("minimax").__module__ == "methods.minimax"


def test_an_edited_plugin_replaces_itself_in_one_session(tmp_path):
    path = tmp_path / "p.py"
    path.write_text(PLUGIN.format(name="edited"))
    discovery.load_plugin(path)
    before = fingerprint.code_fingerprint(discovery.methods.get("edited"))
    path.write_text(PLUGIN.format(name="edited").replace("zeros", "ones"))
    assert discovery.load_plugin(path) == ["edited"]
    assert fingerprint.code_fingerprint(discovery.methods.get("edited")) != before


@pytest.mark.parametrize("end", ["raise RuntimeError('late')", "raise SystemExit(4)"])
def test_a_plugin_that_fails_after_registering_leaves_nothing(tmp_path, end):
    path = tmp_path / "p.py"
    path.write_text(PLUGIN.format(name="half_done") + f"\n{end}\n")
    with pytest.raises(UserError, match=r"p\.py"):
        discovery.load_plugin(path)
    assert "half_done" not in discovery.methods


class Point:
    """Stands for an entry point of an installed package."""

    name = "minimax"
    dist = SimpleNamespace(name="their-package")

    def load(self):
        exec(compile(PLUGIN.format(name="minimax"), "their.py", "exec"), {"__name__": "theirs"})


def test_an_entry_point_of_a_built_in_name_disables_nothing(monkeypatch):
    """It is kept under its package's name, with the reason."""
    monkeypatch.setattr(discovery, "entry_points", lambda group: [Point()])
    monkeypatch.setattr(discovery.methods, "_broken", {})
    discovery.discover.__wrapped__()
    assert discovery.methods.get("minimax").__module__ == "methods.minimax"
    assert "minimax" not in discovery.methods.broken
    assert "registered twice" in discovery.methods.broken["minimax of their-package"]
