"""Read training protocols: datasets/protocols/NAME.yaml, or any YAML file by its path.

In: a path. Out: a checked `ProtocolFile`. Every mistake in the file is told with its line, and with what was expected.

A field that a file leaves out has its default, which is that of `idc`. `include: dc` takes the fields of another protocol
(`include: OTHER.yaml` those of a file beside this one): its own fields win, mappings are merged key by key, lists are
replaced. Name, version, title and source are each file's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt, ValidationError

from harness.core.config.base import explain
from harness.core.config.protocol import Protocol
from harness.core.errors import UserError, did_you_mean
from harness.core.io import data_folder
from harness.core.suites import YAML_ENDINGS
from harness.core.yaml_text import find_line, merged, parse_yaml
from harness.training.protocol_rules import misfits

_OWN = ("name", "version", "title", "source")
"""Fields that say which protocol a file is; an include does not bring them."""


class _Text(Protocol):
    """What a file may say: the fields of a protocol, and what it is."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="name of the protocol, on the command line and in tables"
    )
    version: PositiveInt = Field(1, description="+1 whenever equal settings would give different accuracies")
    title: str = Field(min_length=1, pattern=r"^[^\n]*$", description="one line for `harness list protocols`")
    source: str = Field(min_length=1, description="source of its settings: paper, code, golden file")


@dataclass(frozen=True)
class ProtocolFile:
    """A protocol, and what its file says of it.

    Attributes:
        protocol: all that counts for a result.
        title: one line.
        source: where its facts come from.
        path: of the file.
    """

    protocol: Protocol
    title: str
    source: str
    path: Path


@dataclass(frozen=True)
class _Layer:
    """One file of a protocol: what it says, and the YAML nodes that know on which line."""

    where: str
    root: Any
    values: dict[str, Any]


def shipped_folder() -> Path:
    """Return the folder of the protocols that come with the harness."""
    return data_folder("datasets") / "protocols"


def shipped_names() -> list[str]:
    """Return the names of the protocols in datasets/protocols, sorted."""
    return sorted(path.stem for path in shipped_folder().glob("*.yaml"))


def is_path(name_or_path: str) -> bool:
    """Return whether a text is the path of a YAML file, and not a protocol's name."""
    return Path(name_or_path).suffix in YAML_ENDINGS


def read_protocol(path: Path) -> ProtocolFile:
    """Read a protocol's file.

    Raises:
        UserError: it cannot be read, is no YAML (with line), or a field is wrong (with line and what was expected).
    """
    layers = _layers(path)
    values: Any = {}
    for layer in reversed(layers):
        values = merged(values, layer.values)
    try:
        text = _Text.model_validate(values)
    except ValidationError as error:
        lines = [f"protocol file {_place(layers, d['loc'])}: {explain(_Text, d)}" for d in error.errors()]
        raise UserError("\n".join(lines)) from None
    protocol = Protocol.model_validate(text.model_dump(exclude={"title", "source"}))
    for field, problem in misfits(protocol):
        place = (
            _place(layers[:1], (field,)) if field in layers[0].values else path
        )  # an included one is right by itself
        raise UserError(f"protocol file {place}: {problem}")
    return ProtocolFile(protocol, text.title, text.source, path)


def _layers(path: Path) -> list[_Layer]:
    """Read a file and those that it includes, the file itself first."""
    seen = [path.resolve()]
    layers: list[_Layer] = []
    while True:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"protocol file {path}: cannot be read: {reason}.") from None
        root, values = parse_yaml(text, f"protocol file {path}")
        if not isinstance(values, dict):
            raise UserError(f"protocol file {path}, line 1: expected fields (name: ..., title: ...), found {values!r}.")
        included = values.pop("include", None)
        if layers:
            values = {field: value for field, value in values.items() if field not in _OWN}
        layers.append(_Layer(str(path), root, values))
        if included is None:
            return layers
        where = f"protocol file {path}, line {find_line(root, ('include',))[0]}: include"
        path = _included(included, path.parent, where)
        if path.resolve() in seen:
            raise UserError(f"{where}: {included} includes this file again.")
        seen.append(path.resolve())


def _included(named: Any, folder: Path, where: str) -> Path:
    """Return the file that an `include` names."""
    if not isinstance(named, str):
        raise UserError(f"{where}: expected a protocol name or a file; found {named!r}.")
    if is_path(named):
        return folder / named
    known = shipped_names()
    if named not in known:
        raise UserError(
            f"{where}: no protocol {named!r}.{did_you_mean(named, known)} Known: {', '.join(known)}; or a file such "
            "as OTHER.yaml."
        )
    return shipped_folder() / f"{named}.yaml"


def _place(layers: list[_Layer], location: tuple[int | str, ...]) -> str:
    """Return file and line of the layer that has most of `location`; the first of equals."""
    found = [(*find_line(layer.root, location), layer.where) for layer in layers]
    line, _, where = max(found, key=lambda item: item[1])
    return f"{where}, line {line}"
