"""Training protocols by name or file, and how a suite and a user change their fields.

In: a protocol's name, or the path of its file, and overrides. Out: a checked `Protocol`. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.core.config.protocol import HARD_LABELS, NO_AUGMENTATION, Protocol
from harness.core.errors import UserError, did_you_mean
from harness.core.registry import Registry
from harness.core.text import shorten
from harness.training.protocol_files import ProtocolFile, is_path, read_protocol, shipped_folder, shipped_names
from harness.training.protocol_rules import misfits


class Protocols(Registry[Protocol]):
    """The protocols of datasets/protocols, and those that plugins register."""

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*super().names(), *shipped_names()})

    def __contains__(self, name: str) -> bool:
        return super().__contains__(name) or name in shipped_names()

    def get(self, name: str) -> Protocol:
        """Return the protocol called `name`.

        Raises:
            UserError: nothing has that name (with the closest known one), or its file has a mistake.
        """
        return shipped(name).protocol if name in shipped_names() else super().get(name)


protocols = Protocols("protocol")


def shipped(name: str) -> ProtocolFile:
    """Return a protocol of datasets/protocols with what its file says of it."""
    files = sorted(shipped_folder().glob("*.yaml"))
    return _read(shipped_folder() / f"{name}.yaml", tuple((path.name, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=64)
def _read(path: Path, _written: tuple[tuple[str, int], ...]) -> ProtocolFile:
    """Read a file once, until it or one that it may include is written again."""
    return read_protocol(path)


_IDENTITY = ("name", "version")
"""Fields that say which protocol it is; nobody overrides them."""


_BY_STUDENT = ("lr_by_student", "batch_by_student")
"""Tables to which overrides add rows: a suite that changes one student's row keeps the others'."""


def register_protocol(protocol: Protocol) -> Protocol:
    """Make a protocol available under its own name. Without code: a file in datasets/protocols, or `--protocol my.yaml`.

    Raises:
        UserError: a field is invalid, e.g. a crop scale above 1, or a built-in protocol has this name.
    """
    _check(protocol, f"protocol {protocol.name!r}")
    if protocol.name in shipped_names() and protocol != shipped(protocol.name).protocol:
        raise UserError(f"protocol {protocol.name!r}: a built-in protocol has this name. Choose another name.")
    return protocols.register(protocol.name)(protocol)


def find_protocol(name_or_path: str) -> Protocol:
    """Return a protocol by name, or from a YAML file.

    Raises:
        UserError: nothing has that name (with the closest known one), or the file has a mistake (with line).
    """
    if not is_path(name_or_path):
        if name_or_path not in protocols:
            known = protocols.names()
            raise UserError(
                f"unknown protocol {name_or_path!r}.{did_you_mean(name_or_path, known)} Known: {', '.join(known)}. A path "
                "to a YAML file works too."
            )
        return protocols.get(name_or_path)
    return read_own(Path(name_or_path)).protocol


def read_own(path: Path) -> ProtocolFile:
    """Read a user's file, whose name must be no other protocol's: tables would call both the same.

    Raises:
        UserError: the file has a mistake (with line), or its name is taken.
    """
    file = read_protocol(path)
    name = file.protocol.name
    if name in protocols and path.resolve().parent != shipped_folder().resolve():
        raise UserError(
            f"protocol file {path}: name {name!r} is already used by another protocol. Choose another name."
        )
    return file


def resolve_protocol(
    name: str | Protocol,
    suite_overrides: Mapping[str, Any] | None = None,
    user_overrides: Mapping[str, Any] | None = None,
) -> Protocol:
    """Return a protocol with the suite's changes and then the user's.

    Args:
        name: a protocol, its name, such as "idc", or the path of its file.
        suite_overrides: field -> value, what the suite changes in this protocol.
        user_overrides: field -> value, what the command line changes; wins over the suite.

    Raises:
        UserError: the protocol or a field is unknown, or a value is refused.
    """
    protocol = find_protocol(name) if isinstance(name, str) else name
    for author, overrides in (("the suite", suite_overrides or {}), ("the command line", user_overrides or {})):
        protocol = _override(protocol, overrides, f"protocol {protocol.name!r}, set by {author}")
    return protocol


def at_device(protocol: Protocol, device: str) -> Protocol:
    """Return the protocol with the precision that `auto` means on a device, "cpu" or "cuda"; any other stays."""
    if protocol.precision != "auto":
        return protocol
    return protocol.model_copy(update={"precision": "bfloat16" if device == "cuda" else "float32"})


def changes(protocol: Protocol, own: Protocol) -> str:
    """Return how a run's protocol differs from what its name stands for, such as "epochs=100, precision=bfloat16".

    How it is executed, `EXECUTION`, is told wherever it is not the default, because no paper's numbers were made so.

    Args:
        protocol: that the students of the run are trained under.
        own: the same as its file and the suite have it.
    """
    default = Protocol()
    values = {
        name: value
        for name, value in protocol.model_dump(mode="json").items()
        if getattr(protocol, name) != getattr(default if name in EXECUTION else own, name)
    }
    return ", ".join(f"{name}={_short(value)}" for name, value in values.items())


EXECUTION = ("precision", "compiled")
"""Fields that say how a protocol is computed; its definition is the rest."""


def _short(value: Any) -> str:
    """Return a value as one would set it; of epochs by IPC the rows."""
    if isinstance(value, dict) and set(value) == {"up_to", "above"} and not value["up_to"]:
        return str(value["above"])
    return value if isinstance(value, str) else shorten(json.dumps(value).replace('"', ""), 40)


def _override(protocol: Protocol, overrides: Mapping[str, Any], where: str) -> Protocol:
    allowed = [field for field in Protocol.model_fields if field not in _IDENTITY]
    for key in overrides:
        if key not in allowed:
            raise UserError(
                f"{where}: no field {key!r}.{did_you_mean(str(key), allowed)} Fields: {', '.join(allowed)}."
            )
    values = protocol.model_dump()
    rows = {f: {**values[f], **overrides[f]} for f in _BY_STUDENT if isinstance(overrides.get(f), Mapping)}
    try:
        changed = Protocol.model_validate({**values, **overrides, **rows})
    except ValidationError as error:
        raise UserError(f"{where}: {'; '.join(map(_describe, error.errors()))}") from None
    _check(changed, where)
    return changed


def _describe(problem: Any) -> str:
    """One pydantic problem as "field: what was expected (got ...)"."""
    place, message = ".".join(map(str, problem["loc"])), str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]} (got {problem['input']!r})"


def _check(protocol: Protocol, where: str) -> None:
    """Refuse values that each pass on their own and make no sense together."""
    for _, problem in misfits(protocol):
        raise UserError(f"{where}: {problem}")


_OF_SOFT_LABELS = ("temperature", "soft_loss", "labels_kept")


def unused_settings(protocol: Protocol, fields: Iterable[str]) -> list[str]:
    """Return a line for each field that a user gave a value and that this protocol does not use."""
    if protocol.labels == "hard":
        return [f"--set protocol.{f} has no effect: the labels are hard" for f in fields if f in _OF_SOFT_LABELS]
    if protocol.soft_loss == "gift" and "temperature" in fields:
        return ["--set protocol.temperature has no effect: soft_loss gift compares unscaled logits"]
    return []


_NO_AUGMENTATION = {
    "cutmix_probability": 0.0,
    "patch_shuffle": 1,
    "crop_scale": None,
    "flip": False,
    "color_jitter": 0.0,
    "pca_lighting": 0.0,
    "dsa": (),
}


def without_augmentation(protocol: Protocol) -> Protocol:
    """Return the protocol without augmentation and CutMix."""
    return protocol.model_copy(update=_NO_AUGMENTATION)


def variants(protocol: Protocol) -> dict[str, Protocol]:
    """Return the protocols under which more students are trained for the scores of a run under `protocol`."""
    found = {NO_AUGMENTATION: without_augmentation(protocol)}
    if protocol.labels != "hard":
        found[HARD_LABELS] = protocol.model_copy(update={"labels": "hard"})
    return found
