"""The fingerprint of a method's code is the same in every Python, and follows all code that the method stands on."""

import ast
import sys
import textwrap

import pytest

import harness
from harness.core.errors import UserError
from harness.core.plugin import discovery, fingerprint

SAMPLE = textwrap.dedent('''
    """Docstring."""
    from __future__ import annotations
    import a.b as c
    from typing import Any

    X: dict[str, list[int]] = {**{}, "k": [1, -2, 3.5, 1e100, 2j, b"x\\x00", ..., None, True, u"old"]}

    @register("x", *args, k=2, **more)
    class A(Base, metaclass=M):
        """Docstring."""
        y: int = 3
        z: str

        async def f(self, a, /, b: int = 1, *c, d=None, e, **g) -> Any:
            """Docstring."""
            async with q as r, s:
                await t
            if (n := len(a)) > 10:
                return f"{n!r:>{self.w}} {n=} {n:} {{x}} 'q' " "tail" f"{a['k']}{'x'}" f"" rf"\\d{n}"
            yield f"a{b:.{c}f}b{f'{d}'}"
            return (lambda x, *y, z=1: x if y else z)(1)

    def h(p):
        match p:
            case {"k": [1, *rest], **other} if rest:
                pass
            case A(x=1, y=None) | (-1 as q) | "s" | None:
                return
            case _:
                global G
        try:
            del p[1:2, ...]
        except* (ValueError, TypeError) as e:
            raise X from e
        finally:
            assert p, f"m{p}"
        for i, (j, *k) in enumerate([x for x in y if x if z]): continue
        return {a: b for a, b in c}, {1, 2}, (x async for x in y), f"{x!s}" f"{x:%Y}" "" f"{3.4:10}", a @ b, ~a, 1 < 2 <= 3
''')
"""All of the grammar of Python 3.11 whose syntax tree is not the same in later versions, and most of the rest."""

SAMPLE_HASH = "59765ebbc10ec61c3a5d36c53475a50a335d88acb969c11ea40e6f374536f039"
"""As computed by Python 3.11.7, 3.12.1 and 3.13.0."""


def test_the_hash_of_a_file_is_the_one_that_other_pythons_compute():
    assert fingerprint.tree_hash(SAMPLE) == SAMPLE_HASH


@pytest.mark.parametrize("change", ["fields of later versions", "empty fields left out", "empty texts in f-strings"])
def test_a_syntax_tree_as_another_python_makes_it_has_the_same_hash(monkeypatch, change):
    parse = ast.parse

    def otherwise(source, *args, **options):
        tree = parse(source, *args, **options)
        for node in list(ast.walk(tree)):
            if change == "fields of later versions" and isinstance(node, ast.ClassDef | ast.FunctionDef):
                node._fields = (*node._fields, "type_params")
                node.type_params = []
            elif change == "empty fields left out" and not isinstance(node, ast.Constant):
                node._fields = tuple(f for f in node._fields if getattr(node, f) not in ([], None))
            elif isinstance(node, ast.JoinedStr):
                node.values = [*node.values, ast.Constant("")]
        return tree

    monkeypatch.setattr(ast, "parse", otherwise)
    assert fingerprint.tree_hash(SAMPLE) == SAMPLE_HASH


@pytest.mark.parametrize(
    ("old", "new"),
    [("1e100", "1e101"), ("b: int = 1", "b: int = True"), ("{n!r:", "{n!s:"), ("case _:", "case G:"), ('"s" | None', '"s"')],
)  # fmt: skip
def test_what_the_code_does_is_in_the_hash(old, new):
    assert old in SAMPLE
    assert fingerprint.tree_hash(SAMPLE.replace(old, new)) != SAMPLE_HASH


WORK = """
class A(Method):
    def synthesize(self, task, state, ipc):
        return 1
"""


def test_what_a_method_says_to_the_dry_run_is_not_in_the_hash_and_other_code_of_that_name_is():
    said = "    def work(self, num_real, num_images):\n        return {}\n"
    more = "    def passes(self, num_real, num_classes, ipc, side):\n        return []\n"
    other = "    def work(self, images):\n        return {}\n"
    assert fingerprint.tree_hash(WORK + said + more) == fingerprint.tree_hash(WORK)
    assert fingerprint.tree_hash(WORK + other) != fingerprint.tree_hash(WORK)


BUILT_ON = """
from harness import register_method
{imports}

@register_method("built_on")
class Mine({base}):
    title = "Mine"
    reference = "none"
"""


def edited_in(monkeypatch, module):
    """Let a module read as if a line had been added to it."""
    source = fingerprint._source
    monkeypatch.setattr(fingerprint, "_source", lambda m: source(m) + "\nNEW = 1\n" * (m.__name__ == module))


@pytest.mark.parametrize(
    ("imports", "base", "edited"),
    [
        ("from methods.minimax import Minimax", "Minimax", "methods.minimax"),
        ("from methods.minimax import Minimax", "Minimax", "methods.dit"),
        ("from methods.herding import Herding as Other", "Other", "methods._coreset"),
        ("from harness import Method\nfrom methods._pixels import Mover", "Method", "methods._pixels"),
        ("from harness import Method\nimport methods._pixels", "Method", "methods._pixels"),
    ],
)
def test_a_plugin_changes_with_the_method_files_that_it_stands_on(tmp_path, monkeypatch, imports, base, edited):
    path = tmp_path / "p.py"
    path.write_text(BUILT_ON.format(imports=imports, base=base))
    discovery.load_plugin(path)
    cls = discovery.methods.get("built_on")
    before = fingerprint.code_fingerprint(cls)
    edited_in(monkeypatch, "methods.dm")
    assert fingerprint.code_fingerprint(cls) == before, "it does not stand on this file"
    edited_in(monkeypatch, edited)
    assert fingerprint.code_fingerprint(cls) != before


def test_a_base_class_of_another_package_is_followed_with_what_it_imports_there(tmp_path, monkeypatch):
    package = tmp_path / "other_methods"
    package.mkdir()
    (package / "__init__.py").write_text("from .helper import VALUE\n")
    (package / "helper.py").write_text("VALUE = 1\n")
    (package / "base.py").write_text(
        "from harness import Method\nfrom .helper import VALUE\n\nclass Base(Method):\n    x = VALUE\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "p.py").write_text(BUILT_ON.format(imports="from other_methods.base import Base", base="Base"))
    try:
        discovery.load_plugin(tmp_path / "p.py")
        cls = discovery.methods.get("built_on")
        before = fingerprint.code_fingerprint(cls)
        edited_in(monkeypatch, "other_methods.helper")
        assert fingerprint.code_fingerprint(cls) != before
    finally:
        for name in [name for name in sys.modules if name.startswith("other_methods")]:
            del sys.modules[name]


def test_the_path_of_a_plugin_is_not_in_its_fingerprint(tmp_path):
    found = set()
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "p.py").write_text(BUILT_ON.format(imports="from methods.minimax import Minimax", base="Minimax"))
        known = discovery.methods.snapshot()
        discovery.load_plugin(folder / "p.py")
        found.add(fingerprint.code_fingerprint(discovery.methods.get("built_on")))
        discovery.methods.restore(known)
    assert len(found) == 1


OPTION = """
import numpy as np
from harness import DistilledSet, Method, register_method

@register_method("odd_option")
class Odd(Method):
    class Config(Method.Config):
        value: object = {default}
"""


@pytest.mark.parametrize(
    ("default", "told"),
    [
        ("lambda x: x", r"option 'value' is a function"),
        ("np.zeros(3)", r"option 'value' is a ndarray"),
        ("[1, {'a': np.zeros(3)}]", r"option 'value' is a ndarray"),
        ("float('nan')", r"option 'value' is a float \(nan\)"),
    ],
)
def test_an_option_that_no_key_can_be_made_of_is_refused_when_the_method_is_registered(tmp_path, default, told):
    path = tmp_path / "p.py"
    path.write_text(OPTION.format(default=default))
    with pytest.raises(UserError, match=told):
        discovery.load_plugin(path)


def test_a_value_that_no_key_can_be_made_of_is_refused_before_any_work(tmp_path, tiny_suite):
    path = tmp_path / "p.py"
    path.write_text(OPTION.format(default="None"))
    with pytest.raises(UserError, match=r"method 'odd_option': option 'value' is a builtin"):
        harness.run(
            methods=["odd_option"],
            suite=tiny_suite,
            plugins=[path],
            settings={"odd_option.value": len},
            store=tmp_path / "store",
            executor="local",
        )
    assert not (tmp_path / "store").exists()


def test_a_method_file_of_a_wheel_has_the_hash_that_it_has_in_a_checkout():
    """hatch_build.py renames the imports; other packages keep their names."""
    in_a_wheel = "from harness.methods.dit import passes\nimport harness.methods.dm as dm\n"
    assert fingerprint.tree_hash(in_a_wheel) == fingerprint.tree_hash(in_a_wheel.replace("harness.methods", "methods"))
    other = "from harness.methodsfoo import x\n"
    assert fingerprint.tree_hash(other) != fingerprint.tree_hash(other.replace("harness.", ""))


def test_a_plugin_on_a_method_of_a_wheel_follows_that_file_and_not_the_harness(monkeypatch):
    """`harness.methods.dit` is no part of the harness to the fingerprint; the package's own file is none of a method."""
    from types import ModuleType

    def module(name, source):
        made = ModuleType(name)
        made.__harness_source__ = source
        monkeypatch.setitem(sys.modules, name, made)
        return made

    package = module("harness.methods", "X = 1\n")
    package.__path__ = []
    module("harness.methods.below", "from harness import Method\nfrom harness.core.seeds import derive_seed\n")
    top = module("harness.methods.top", "from harness.methods import below\nfrom harness.methods.below import Method\n")
    assert {m.__name__ for m in fingerprint._own_modules(top)} == {"harness.methods.top", "harness.methods.below"}
