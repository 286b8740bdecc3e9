"""The code of a method that is defined in a notebook cell: its class, and what that uses of other cells.

In: a class of `__main__`. Out: source texts and values for its fingerprint. Editing another cell that the class does not use
changes nothing.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from harness.core.config.base import plain
from harness.core.errors import UserError
from harness.core.io import canonical_json


def in_notebook(cls: type) -> bool:
    """Return whether a class was defined in a cell or at a prompt: in a `__main__` without a file."""
    return cls.__module__ == "__main__" and not getattr(sys.modules["__main__"], "__file__", None)


@dataclass
class Definitions:
    """What a class of a notebook is made of.

    Attributes:
        texts: source of the class and of the functions and classes of other cells that it uses.
        values: plain values of other cells that it uses, as JSON.
        modules: what it imports from, of which the fingerprint may follow some.
    """

    texts: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    modules: list[ModuleType] = field(default_factory=list)


def definitions(cls: type) -> Definitions:
    """Return what a class of a notebook is made of.

    Raises:
        UserError: its source is not known, or it uses a value that no key can be made of.
    """
    found, seen = Definitions(), {cls.__name__}
    stack: list[Any] = [cls]
    names = vars(sys.modules["__main__"])
    while stack:
        text = _source(stack.pop())
        found.texts.append(text)
        for name in sorted(_global_names(text) - seen):
            seen.add(name)
            if name not in names:
                continue
            value = names[name]
            if isinstance(value, ModuleType):
                found.modules.append(value)
            elif inspect.isclass(value) or inspect.isfunction(value):
                if value.__module__ == "__main__":
                    stack.append(value)
                elif value.__module__ in sys.modules:
                    found.modules.append(sys.modules[value.__module__])
            else:
                found.values.append(canonical_json({name: _plain(cls, name, value)}))
    return found


def _plain(cls: type, name: str, value: Any) -> Any:
    try:
        return plain(value)
    except ValueError:
        raise UserError(
            f"method {getattr(cls, 'name', '') or cls.__name__!r}: its class uses `{name}` from another cell; a "
            f"{type(value).__name__} cannot be hashed into a key. Define it inside the class, or make it an option."
        ) from None


def _source(thing: Any) -> str:
    """Return the source of a class or function of a notebook."""
    if inspect.isfunction(thing):
        try:
            return textwrap.dedent(inspect.getsource(thing))
        except (OSError, TypeError):
            raise _unknown(thing) from None
    for lines in _cells(thing):
        text = "".join(lines)
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for node in reversed(tree.body):
            if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
                return ast.unparse(node)
    raise _unknown(thing)


def _unknown(thing: Any) -> UserError:
    return UserError(
        f"the source of {thing.__name__!r} is not available, so an edited version could not be detected. Define it at "
        "the top level of a cell, or write it to a file (`%%writefile mine.py` as the first line of the cell) and "
        'pass plugins=["mine.py"].'
    )


def _cells(cls: type) -> Iterator[list[str]]:
    """Yield the cells that may define a class: that of its functions, then the others from the newest on."""
    functions = [part for part in map(inspect.unwrap, filter(callable, vars(cls).values())) if inspect.isfunction(part)]
    for function in functions:
        yield linecache.getlines(function.__code__.co_filename)
    for name in reversed(list(linecache.cache)):
        if "ipykernel" in name or "ipython-input" in name or name.startswith("<"):
            yield linecache.getlines(name)


def _global_names(text: str) -> set[str]:
    """Return the names that a definition takes from its module."""
    top = symtable.symtable(text, "<cell>", "exec")
    tables, found = [top], set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        found |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and (table is top or s.is_global())}
    return found
