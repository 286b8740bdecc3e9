"""`--set TARGET.FIELD=VALUE`: overrides of one field of a method, the protocol, the teacher or the image source, checked like the
YAML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.core.errors import UserError
from harness.core.yaml_text import parse_yaml

RESERVED = ("protocol", "teacher", "data")
"""Targets that are no method."""


def parse_overrides(pairs: dict[str, Any] | list[str] | tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return target -> field -> value.

    Args:
        pairs: "protocol.lr=0.02" texts as on the command line, or a dict {"protocol.lr": 0.02}.

    Raises:
        UserError: a text without "=", a key without a dot, a value that is not YAML.
    """
    items = pairs.items() if isinstance(pairs, dict) else [_split(pair) for pair in pairs]
    settings: dict[str, dict[str, Any]] = {}
    for key, value in items:
        target, dot, field = key.partition(".")
        if not (dot and target and field):
            raise UserError(
                f"--set {key!r}: expected TARGET.FIELD=VALUE, e.g. protocol.lr=0.02; `harness show method NAME` lists "
                "a method's fields."
            )
        fields = settings.setdefault(target, {})
        if field in fields:
            raise UserError(f"--set {key} is given twice: {fields[field]!r} and {value!r}. Give it once.")
        fields[field] = value
    return settings


def _split(pair: str) -> tuple[str, Any]:
    key, equals, text = pair.partition("=")
    if not equals:
        raise UserError(f"--set {pair!r}: expected TARGET.FIELD=VALUE, e.g. protocol.lr=0.02.")
    return key.strip(), parse_yaml(text, f"--set {pair!r}")[1]


def without_effect(settings: dict[str, dict[str, Any]], methods: Iterable[str]) -> list[str]:
    """Return a line for each setting of a method that the run does not have; the rest of it may still be wanted."""
    known = {*methods, *RESERVED}
    return [
        f"--set {target}.{field} has no effect: method {target} is not part of this run"
        for target, fields in settings.items()
        if target not in known
        for field in fields
    ]
