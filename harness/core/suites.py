"""Find and read suites: datasets/NAME.yaml, or any YAML file by its path.

In: a name or path. Out: a checked `Suite` and its class list. Every mistake in the file is told with its line.

`include: OTHER.yaml` takes another suite's fields: those of the including file win, mappings are merged key by key, lists
are replaced. So a variant is a file with what it changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harness.core.config.base import explain
from harness.core.config.suite import Suite
from harness.core.errors import UserError, did_you_mean
from harness.core.io import data_folder
from harness.core.yaml_text import parse_yaml

YAML_ENDINGS = (".yaml", ".yml")
"""What makes the path of a suite's file of a text; all else is a name."""


@dataclass(frozen=True)
class SuiteFile:
    """A suite and the folder that its relative paths start from."""

    suite: Suite
    folder: Path

    @property
    def class_list(self) -> Path:
        """Path of the class list."""
        return self.folder / self.suite.classes


def suite_names() -> list[str]:
    """Return the names of the suites in datasets/, sorted; numbers in them by value: if20 before if100."""
    return sorted((path.stem for path in data_folder("datasets").glob("*.yaml")), key=_by_value)


def _by_value(name: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def load_suite(name_or_path: str) -> SuiteFile:
    """Read a suite by name, or by the path of a YAML file.

    Raises:
        UserError: no such suite, unreadable YAML (with line), or a field that is wrong (with line).
    """
    path = Path(name_or_path)
    if path.suffix not in YAML_ENDINGS:
        path = data_folder("datasets") / f"{name_or_path}.yaml"
        if not path.is_file():
            known = suite_names()
            raise UserError(
                f"unknown suite {name_or_path!r}.{did_you_mean(name_or_path, known)} "
                f"Known: {', '.join(known)}. A path to a YAML file works too; "
                "groups of suites are for `harness run --suite`."
            )
    return SuiteFile(_validate(_layers(path)), path.parent)


def parse_suite(text: str, where: str) -> Suite:
    """Check the YAML of a suite; `where` names it in messages.

    Raises:
        UserError: with file, line and what was expected.
    """
    return _validate([_parse(text, where)])


@dataclass(frozen=True)
class _Layer:
    """One file of a suite: what it says, and the YAML nodes that know on which line."""

    where: str
    root: Any
    values: dict[str, Any]


def _layers(path: Path) -> list[_Layer]:
    """Read a suite's file and those that it includes; what stands in the first wins."""
    home, seen, layers = path.parent, [path.resolve()], []
    while True:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"suite file {path}: cannot be read: {error}") from None
        layer = _parse(text, str(path))
        included = layer.values.pop("include", None)
        if path.parent.resolve() != home.resolve():
            _make_absolute(layer.values, path.parent)
        layers.append(layer)
        if included is None:
            return layers
        line = _find(layer.root, ("include",))[0]
        if not isinstance(included, str):
            raise UserError(f"suite file {path}, line {line}: include: expected a file name, found {included!r}.")
        path = path.parent / included
        if path.resolve() in seen:
            raise UserError(f"suite file {layer.where}, line {line}: include: {included} includes this file again.")
        seen.append(path.resolve())


_PATHS = {"classes", "label_classes", "protocol", "weights", "alternatives", "encoder", "decoder"}
"""Fields of a suite, its teacher and its generators that may name a file beside the YAML. Those of `source` start from
the data root."""


def _make_absolute(values: dict[str, Any], folder: Path) -> None:
    """Make the paths of an included file independent of the folder of the one that includes it."""
    generators = values.get("generators")
    parts = [values.get("teacher"), *(generators.values() if isinstance(generators, dict) else ())]

    def absolute(name: Any) -> Any:
        if isinstance(name, list):
            return [absolute(one) for one in name]
        return str((folder / name).resolve()) if isinstance(name, str) and (folder / name).exists() else name

    for mapping in (values, *(part for part in parts if isinstance(part, dict))):
        for field in _PATHS & set(mapping):
            mapping[field] = absolute(mapping[field])


def _parse(text: str, where: str) -> _Layer:
    """Read YAML whose outermost level is a mapping."""
    root, values = parse_yaml(text, f"suite file {where}")
    if not isinstance(values, dict):
        raise UserError(f"suite file {where}, line 1: expected fields (name: ..., source: ...), found {values!r}.")
    return _Layer(where, root, values)


def _validate(layers: list[_Layer]) -> Suite:
    """Merge the layers and check the result."""
    values: Any = {}
    for layer in reversed(layers):
        values = _merged(values, layer.values)
    try:
        return Suite.model_validate(values)
    except ValidationError as error:
        lines = [f"suite file {_place(layers, detail['loc'])}: {explain(Suite, detail)}" for detail in error.errors()]
        raise UserError("\n".join(lines)) from None


def _merged(base: Any, own: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}


def _place(layers: list[_Layer], location: tuple[int | str, ...]) -> str:
    """Return file and line of the layer that has most of `location`; the first of equals."""
    found = [(*_find(layer.root, location), layer.where) for layer in layers]
    line, _, where = max(found, key=lambda item: item[1])
    return f"{where}, line {line}"


def _find(node: Any, location: tuple[int | str, ...]) -> tuple[int, int]:
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
