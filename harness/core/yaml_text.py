"""Read YAML that may come from anybody: bounded, and without what YAML 1.1 quietly reads as another number.

In: text. Out: the nodes, which know their lines, and plain values. Nothing is executed.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from harness.core.errors import UserError

MOST_CHARACTERS = 1_000_000

MOST_NODES = 100_000
"""Values of a file, those counted each time that an alias repeats."""

DEEPEST = 40
"""Lists and mappings within each other."""

_ODD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+)")
"""What YAML 1.1 reads as octal (010 is 8) or in base 60 (1:30 is 90)."""


def parse_yaml(text: str, where: str) -> tuple[yaml.Node | None, Any]:
    """Return the root node and the value of a YAML text.

    Args:
        text: of the file.
        where: what it is, for messages, as in "suite file a.yaml".

    Raises:
        UserError: it is not YAML, repeats a key, is too large or nested too deeply, or holds a number such as 010.
    """
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"{where}: has {len(text):,} characters; the limit is {MOST_CHARACTERS:,}.")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _Checker(where).check(root)
        return root, yaml.safe_load(text)
    except RecursionError:
        raise UserError(f"{where}: {_TOO_DEEP}") from None
    except UserError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-99-99
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(f"{where}{line}: not valid YAML: {problem}.") from None


_TOO_DEEP = f"lists and mappings are nested more than {DEEPEST} levels deep."


class _Checker:
    """Walks over the nodes of a file, each time that they are repeated."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._seen = 0

    def check(self, node: yaml.Node, depth: int = 0) -> None:
        """Refuse what the module's text says."""
        self._seen += 1
        if self._seen > MOST_NODES:
            raise self._error(node, f"aliases and values expand to more than {MOST_NODES:,} values.")
        if depth > DEEPEST:
            raise self._error(node, _TOO_DEEP)
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        raise self._error(key, f"{key.value!r} is given twice; remove one.")
                    seen.add(key.value)
                self.check(value, depth + 1)
        elif isinstance(node, yaml.SequenceNode):
            for child in node.value:
                self.check(child, depth + 1)
        elif node.tag == "tag:yaml.org,2002:int" and _ODD_NUMBER.fullmatch(node.value):
            raise self._error(
                node, f"{node.value} is a different number in YAML (octal or base 60); write a plain decimal number."
            )

    def _error(self, node: yaml.Node, problem: str) -> UserError:
        return UserError(f"{self.where}, line {node.start_mark.line + 1}: {problem}")


def merged(base: Any, own: Any) -> Any:
    """Return a value over another: mappings are merged key by key, all else is replaced."""
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    return {**base, **{key: merged(base.get(key), value) for key, value in own.items()}}


def find_line(node: Any, location: tuple[int | str, ...]) -> tuple[int, int]:
    """Return the 1-based line of the deepest part of `location` that the YAML has, and how deep that is."""
    line = node.start_mark.line + 1
    for depth, step in enumerate(location):
        children = node.value if isinstance(getattr(node, "value", None), list) else []
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in children if k.value == str(step)), None)
            if found is None:
                return line, depth
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(children):
            node = children[step]
            line = node.start_mark.line + 1
        else:
            return line, depth
    return line, len(location)
