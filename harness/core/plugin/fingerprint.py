"""The code fingerprint of a method: a hash of its source, and of the method files that it builds on."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
from types import ModuleType

from harness.core.errors import UserError
from harness.core.plugin.method import Method
from harness.core.plugin.notebook import definitions, in_notebook

METHODS = "methods"
"""The package whose files are methods."""

_IN_A_WHEEL = f"harness.{METHODS}"
"""What a wheel calls it (hatch_build.py): in site-packages, `methods` could be another distribution's."""


def methods_package() -> str:
    """Return the name under which the package of the methods is imported here, in a checkout or from a wheel."""
    return _IN_A_WHEEL if importlib.util.find_spec(_IN_A_WHEEL) else METHODS


def code_fingerprint(cls: type[Method]) -> str:
    """Hash the code that a method's results depend on: its file and the method files that it stands on.

    Those are the files of its base classes, and what any of these import of their own package or of `methods`. The
    harness itself is not among them: its stages have versions (harness/planning/plan.py). Nor are other packages.
    """
    seen: dict[str, ModuleType] = {}
    cells: list[str] = []
    for base in cls.__mro__:
        own = base is cls or issubclass(base, Method)
        if own and in_notebook(base):
            cells += _of_notebook(base, seen)
        elif own and _package(base.__module__) != "harness" and base.__module__ not in seen:
            _own_modules(sys.modules[base.__module__], seen)
    # Sorted by content: the name of a plugin's module depends on its path, and a path is in no key.
    digests = sorted([*cells, *(tree_hash(_source(module)) for module in seen.values())])
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def _of_notebook(cls: type, seen: dict[str, ModuleType]) -> list[str]:
    """Return digests of what a class of a notebook is made of; adds the method files that it uses to `seen`."""
    made = definitions(cls)
    for module in made.modules:
        if _package(module.__name__) == METHODS and module.__name__ not in seen:
            _own_modules(module, seen)
    return [*map(tree_hash, made.texts), *(hashlib.sha256(value.encode()).hexdigest() for value in made.values)]


def tree_hash(source: str) -> str:
    """Hash Python source by its syntax tree; comments, docstrings and layout do not count, nor do what `harness tune` tries,
    what a method's `work` says to the dry run, and its `bibtex`.

    The tree is written out by `_canonical`: `ast.dump` and `ast.unparse` give other texts, and `tokenize` cuts f-strings
    into other tokens, in another version of Python.
    """
    tree = _WithoutHints().visit(ast.parse(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:]
    return hashlib.sha256(_canonical(tree).encode()).hexdigest()


class _WithoutHints(ast.NodeTransformer):
    """Takes `search(...)` marks, `work` and `bibtex` out of a file: what may be tried, what it may cost and how to cite it
    change no result.

    A method file of a wheel imports others as `harness.methods.NAME`; here they have the names of a checkout.
    """

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [part for part in node.body if not (_is_work(part) or _is_citation(part))]
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module:
            node.module = _in_a_checkout(node.module)
        if node.module == "harness":
            node.names = [alias for alias in node.names if alias.name != "search"]
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        for alias in node.names:
            alias.name = _in_a_checkout(alias.name)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST | None:
        self.generic_visit(node)
        if node.arg == "json_schema_extra":
            left = _without_search(node.value)
            if left is None:
                return None
            node.value = left
        return node


def _is_work(part: ast.stmt) -> bool:
    """Return whether a statement defines `Method.work` or `passes`; another function of that name has other parameters."""
    if not isinstance(part, ast.FunctionDef):
        return False
    return [parameter.arg for parameter in part.args.args] == _HINTS.get(part.name)


def _is_citation(part: ast.stmt) -> bool:
    """Return whether a statement of a class sets `bibtex` to a text; a value that code computes stays in the hash."""
    match part:
        case ast.Assign(targets=[ast.Name(id="bibtex")], value=ast.Constant(value=str())):
            return True
        case ast.AnnAssign(target=ast.Name(id="bibtex"), value=ast.Constant(value=str())):
            return True
    return False


_HINTS = {
    "work": ["self", "num_real", "num_images"],
    "passes": ["self", "num_real", "num_classes", "ipc", "side"],
}
"""What a method tells the dry run: name and parameters."""


def _without_search(mark: ast.expr) -> ast.expr | None:
    """Return `A` of `A | search(...)`, and None of `search(...)` alone."""
    if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "search":
        return None
    if isinstance(mark, ast.BinOp) and isinstance(mark.op, ast.BitOr):
        parts = [left for side in (mark.left, mark.right) if (left := _without_search(side)) is not None]
        return mark if len(parts) == 2 else next(iter(parts), None)
    return mark


_SAME_FOR_ALL = frozenset(("ctx", "kind", "type_comment"))
"""Fields of a syntax tree that say nothing about what the code does: its place in an assignment, the u of u"text"."""


def _canonical(part: object) -> str:
    """Write a part of a syntax tree as text that is equal in Python 3.11, 3.12 and 3.13.

    They differ in fields that are empty or absent (`type_params`), and in empty texts inside f-strings.
    """
    if isinstance(part, ast.Constant):
        return f"{type(part.value).__name__}:{part.value!r}"
    if isinstance(part, ast.JoinedStr):
        pieces = [_canonical(piece) for piece in part.values if not _is_empty_text(piece)]
        return f"JoinedStr[{','.join(pieces)}]"
    if isinstance(part, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(part) if name not in _SAME_FOR_ALL]
        filled = [f"{name}={_canonical(value)}" for name, value in fields if value is not None and value != []]
        return f"{type(part).__name__}({','.join(filled)})"
    if isinstance(part, list):
        return f"[{','.join(map(_canonical, part))}]"
    return repr(part)


def _is_empty_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == ""


def _source(module: ModuleType) -> str:
    try:
        own = module.__dict__.get("__harness_source__")  # of a plugin; empty where a folder has no __init__.py
        return inspect.getsource(module) if own is None else own
    except (OSError, TypeError):
        raise UserError(
            f"the methods of module {module.__name__!r} have no source file, so an edited version could not be "
            "detected. Write them to a file and pass it as a plugin."
        ) from None


def _in_a_checkout(name: str) -> str:
    """Return `methods.dit` for `harness.methods.dit`, and other names as they are."""
    return name.removeprefix("harness.") if f"{name}.".startswith(f"{_IN_A_WHEEL}.") else name


def _package(name: str) -> str:
    return _in_a_checkout(name).partition(".")[0]


def _own_modules(module: ModuleType, seen: dict[str, ModuleType] | None = None) -> list[ModuleType]:
    """Return the module and those of its own package and of `methods` that it imports, directly or not, in any form."""
    seen = {} if seen is None else seen
    seen[module.__name__] = module
    followed = {_package(module.__name__), METHODS}
    package = _package(module.__name__)
    own = "" if package == METHODS else package  # `from . import name` takes it from the package's __init__.py
    for node in ast.walk(ast.parse(_source(module))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, module.__package__) if node.level else base
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            inside = ("." in _in_a_checkout(name) or name == own) and _package(name) in followed
            if inside and name not in seen and (found := _module(name)) is not None:
                _own_modules(found, seen)
    return list(seen.values())


def _module(name: str) -> ModuleType | None:
    """Return a module that a method's file names, imported if need be; None where the name is no module."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
