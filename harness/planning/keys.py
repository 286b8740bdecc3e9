"""What a content key is hashed from: what differs from the defaults, and a version for what the defaults mean.

A new field with a default changes no key. Whoever changes a default raises the version of what it belongs to:
`Method.version`, `Protocol.version`, or STAGE_VERSIONS (harness/planning/plan.py) for the teacher's and the generators' training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.core.config.base import plain
from harness.core.config.protocol import ByIpc, Protocol
from harness.core.io import canonical_json


def key_of(identity: dict[str, Any]) -> str:
    """Return the key of a job: 32 hex digits of the SHA-256 of its identity."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:32]


def data_key(fingerprint: str, classes: Iterable[tuple[str, str]], channels: int) -> str:
    """Return what stands for the real images in keys.

    Args:
        fingerprint: of the images.
        classes: id and name of each, in label order.
        channels: of the images as methods and students get them; 3, as all once had, leaves keys as they were.
    """
    named = [fingerprint, *([id_, name] for id_, name in classes)]
    if channels != 3:
        named.append([f"channels {channels}"])
    return hashlib.sha256(canonical_json(named).encode()).hexdigest()


def changed(model: BaseModel, left_out: Container[str] = ()) -> dict[str, Any]:
    """Return the fields of a config that differ from their defaults, as plain JSON."""
    found = {}
    for name, info in type(model).model_fields.items():
        value = hashed(getattr(model, name))
        if name not in left_out and (info.is_required() or not _equal(value, _default(info))):
            found[name] = value
    return found


def hashed(value: Any) -> Any:
    """Return a value as plain JSON; of a config inside another, its class and what differs from its defaults."""
    if isinstance(value, BaseModel):
        return [type(value).__name__, changed(value)]
    if isinstance(value, dict):
        return {str(k): hashed(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [hashed(v) for v in value]
    return plain(value)


def _default(info: FieldInfo) -> Any:
    return hashed(info.get_default(call_default_factory=True, validated_data={}))


def _equal(value: Any, default: Any) -> bool:
    """1 and 1.0 are equal; 1 and yes are not."""
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def at_ipc(protocol: Protocol, ipc: int | None) -> Protocol:
    """Return the protocol with the epochs and batch of this IPC only, so that a change for another changes no key.

    For all data (None) the mean images per class are not known here; the whole rule stays.
    """
    if ipc is None:
        return protocol
    rules = {"epochs": protocol.epochs, "batch_by_ipc": protocol.batch_by_ipc}
    here = {name: ByIpc(up_to=(), above=rule.at(ipc)) for name, rule in rules.items() if rule}
    return protocol.model_copy(update=here)


def hashed_protocol(protocol: Protocol) -> dict[str, Any]:
    """Return what stands for a protocol in a key: its name and version, and what differs from the defaults."""
    return {**changed(protocol), "name": protocol.name, "version": protocol.version}
