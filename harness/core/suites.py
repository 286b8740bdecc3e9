"""Find and read suites: datasets/NAME.yaml, a variant that such a file declares, or any YAML file by its path.

In: a name, a path, or PATH:VARIANT. Out: a checked `Suite` and its class list. Every mistake in a file is told with its line.

`include: OTHER.yaml` takes another suite's fields: those of the including file win, mappings are merged key by key, lists
are replaced. `variants: {NAME: {...}}` declares suites that change some fields of the file that they stand in, merged alike.
An include takes a file's own fields, not its variants; `include: OTHER.yaml:NAME` takes those of a variant.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harness.core.config.base import explain
from harness.core.config.suite import Suite
from harness.core.errors import UserError, did_you_mean
from harness.core.io import data_folder
from harness.core.yaml_text import find_line, merged, parse_yaml

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
    """Return the names of the suites in datasets/, variants too, sorted; numbers in them by value: if20 before if100."""
    return list(dict.fromkeys(name for base, others in families().items() for name in (base, *others)))


def families() -> dict[str, tuple[str, ...]]:
    """Return the name of each file in datasets/ with those of its variants, both sorted as `suite_names` says.

    Of a file that cannot be read only its name is known: loading it says what is wrong.
    """
    found = {}
    for path in data_folder("datasets").glob("*.yaml"):
        others: dict[str, _Layer] = {}
        with suppress(OSError, UnicodeDecodeError, UserError):
            text = path.read_text(encoding="utf-8")
            others = _variants(_parse(text, str(path))) if "variants" in text else {}  # most files need no parser
        found[path.stem] = tuple(sorted(others, key=_by_value))
    return dict(sorted(found.items(), key=lambda family: _by_value(family[0])))


def short_name(name_or_path: str) -> str:
    """Return the name of a suite without the file and folder that it stands in."""
    path, variant = _split(name_or_path)
    return variant or (path.stem if path.suffix in YAML_ENDINGS else name_or_path)


def _by_value(name: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def load_suite(name_or_path: str) -> SuiteFile:
    """Read a suite by name, by the path of a YAML file, or as PATH:VARIANT.

    Raises:
        UserError: no such suite, unreadable YAML (with line), or a field that is wrong (with line).
    """
    path, variant = _split(name_or_path)
    if path.suffix not in YAML_ENDINGS:
        path, variant = _by_name(name_or_path)
    return SuiteFile(_validate(_layers(path, variant)), path.parent)


def _split(name_or_path: str) -> tuple[Path, str | None]:
    """Return path and variant of PATH.yaml:VARIANT; of anything else the path, and None."""
    path, _, variant = name_or_path.rpartition(":")
    found = variant and Path(path).suffix in YAML_ENDINGS and Path(variant).suffix not in YAML_ENDINGS
    return (Path(path), variant) if found else (Path(name_or_path), None)


def _by_name(name: str) -> tuple[Path, str | None]:
    """Return the file in datasets/ that a suite stands in, and which of its variants it is; None: the file itself."""
    path = data_folder("datasets") / f"{name}.yaml"
    if path.is_file():
        return path, None
    known = families()
    bases = [base for base, others in known.items() if name in others]
    if len(bases) > 1:
        raise UserError(f"suite {name!r} is a variant in several files: {', '.join(bases)}. Rename all but one.")
    if bases:
        return path.with_name(f"{bases[0]}.yaml"), name
    names = suite_names()
    raise UserError(
        f"unknown suite {name!r}.{did_you_mean(name, names)} `harness list suites` lists all {len(names)}. A path to "
        "a YAML file works too; groups of suites work only in `harness run --suite`."
    )


def parse_suite(text: str, where: str) -> Suite:
    """Check the YAML of a suite; `where` names it in messages.

    Raises:
        UserError: with file, line and what was expected.
    """
    layer = _parse(text, where)
    _variants(layer)
    return _validate([layer])


@dataclass(frozen=True)
class _Layer:
    """A file of a suite, or a variant in one: what it says, and the YAML nodes that know on which line."""

    where: str
    root: Any
    values: dict[str, Any]


def _layers(path: Path, variant: str | None) -> list[_Layer]:
    """Read a suite's file, its variant if one is asked for, and the files that it includes; what stands in the first wins."""
    home, seen, layers = path.parent, [path.resolve()], []
    while True:
        layer = _read(path)
        of_file = [*_chosen(layer, variant), layer]
        included = layer.values.pop("include", None)
        if path.parent.resolve() != home.resolve():
            for one in of_file:
                _make_absolute(one.values, path.parent)
        layers += of_file
        if included is None:
            return layers
        line = find_line(layer.root, ("include",))[0]
        if not isinstance(included, str):
            raise UserError(f"suite file {path}, line {line}: include: expected a file name, found {included!r}.")
        named, variant = _split(included)
        path = path.parent / named
        if path.resolve() in seen:
            raise UserError(f"suite file {layer.where}, line {line}: include: {included} includes this file again.")
        seen.append(path.resolve())


def _read(path: Path) -> _Layer:
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        base = next((base for base, others in families().items() if path.stem in others), None)
        hint = f". {path.stem} is a variant: {base}{path.suffix}:{path.stem}" if base else ""
        raise UserError(f"suite file {path}: cannot be read: {error}{hint}") from None


_NAME = re.compile(Suite.NAME)

_OF_THE_FILE = {"name", "include", "variants"}
"""What no variant may set: its name is its key."""


def _chosen(layer: _Layer, variant: str | None) -> list[_Layer]:
    """Take the variants out of a file's fields and return the one that is asked for, as a layer; none: an empty list."""
    found = _variants(layer)
    if variant is None:
        return []
    if variant not in found:
        known = f"Its variants: {', '.join(found)}." if found else "It has no `variants:`."
        raise UserError(
            f"suite file {layer.where}: no variant {variant!r}.{did_you_mean(variant, list(found))} {known}"
        )
    return [found[variant]]


def _variants(layer: _Layer) -> dict[str, _Layer]:
    """Take the variants out of a file's fields and return each as a layer of its own.

    Raises:
        UserError: they are no mapping of names to fields, or one sets what belongs to the file.
    """
    declared = layer.values.pop("variants", {})

    def wrong(steps: tuple[str, ...], problem: str) -> UserError:
        line = find_line(layer.root, ("variants", *steps))[0]
        return UserError(f"suite file {layer.where}, line {line}: {'.'.join(('variants', *steps))}: {problem}")

    if not isinstance(declared, dict):
        raise wrong((), f"expected variant names, each with the fields it changes; found {declared!r}.")
    nodes = {key.value: node for key, node in _children(layer.root, "variants")}
    layers = {}
    for name, values in declared.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise wrong(
                (str(name),),
                "a name may have letters, digits, '_', '.' and '-', and must start with a letter or digit.",
            )
        if not isinstance(values, dict):
            raise wrong((name,), f"expected the fields it changes, e.g. {{image_size: 64}}; found {values!r}.")
        for field in sorted(_OF_THE_FILE & set(values)):
            raise wrong(
                (name, field),
                f"not allowed in a variant: it is named {name} and inherits everything else from this file.",
            )
        layers[name] = _Layer(layer.where, nodes.get(name, layer.root), {**values, "name": name})
    return layers


def _children(root: Any, field: str) -> list[Any]:
    """Return the (key, value) nodes of a mapping in the outermost level; none where it is no mapping."""
    node = next((value for key, value in root.value if key.value == field), None)
    return node.value if isinstance(node, yaml.MappingNode) else []


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
        values = merged(values, layer.values)
    try:
        return Suite.model_validate(values)
    except ValidationError as error:
        lines = [f"suite file {_place(layers, detail['loc'])}: {explain(Suite, detail)}" for detail in error.errors()]
        raise UserError("\n".join(lines)) from None


def _place(layers: list[_Layer], location: tuple[int | str, ...]) -> str:
    """Return file and line of the layer that has most of `location`; the first of equals."""
    found = [(*find_line(layer.root, location), layer.where) for layer in layers]
    line, _, where = max(found, key=lambda item: item[1])
    return f"{where}, line {line}"
