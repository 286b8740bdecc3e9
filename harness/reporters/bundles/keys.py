"""Do the records of a bundle fit the jobs that they name?

A key is a hash of what a job was told (`harness.planning.keys`), and a bundle holds that for each job. So whoever changes a
seed, a test model, a protocol or an option beside a number must change a key, which is noticed here. What keys cannot tell is
whether the jobs gave these numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any

from pydantic import ValidationError

from harness.core import seeds
from harness.core.config.protocol import Protocol
from harness.core.io import canonical_json
from harness.core.text import shorten
from harness.planning.keys import at_ipc, data_key, hashed, key_of

_KEY = re.compile(r"[0-9a-f]{32}")


_PARTS = {"kind": str, "version": int, "spec": dict, "deps": dict, "numerics": dict}
"""Of what a key is hashed from."""


_PLACE = ("method", "ipc", "student", "distillation_seed", "training_seed", "variant", "config")
"""What tells the records of a run apart."""


class KeyCheck:
    """Compares records with what their keys are hashed from.

    Args:
        about: run.json of the bundle, checked.
        identities: key of a job -> what it is hashed from.
    """

    def __init__(self, about: dict[str, Any], identities: dict[str, dict[str, Any]]) -> None:
        self.about, self.identities = about, identities
        self._hashed_protocol = cache(self._hashed_protocol_at)

    def check(self, records: list[dict[str, Any]]) -> None:
        """Refuse the first record or key that does not fit.

        Raises:
            ValueError: says which record or key, what was found, and what was expected.
        """
        check_identities(self.identities)
        seen = set()
        for record in records:
            title = record_title(record)
            place = tuple(str(record.get(name) or "") for name in _PLACE)
            if place in seen:
                raise ValueError(f"{title}: there are two records of it")
            seen.add(place)
            for name, found, expected in self._differences(record):
                told = f"{name} is {_short(found)}, and {_short(expected)} by what its key is hashed from"
                raise ValueError(f"{title}: forged or damaged: {told}")

    def _differences(self, record: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        yield from _unequal(self._of_the_run(record))
        keys = {name: record.get(name) or "" for name in ("train_key", "distilled_key", "label_key")}
        for name, key in keys.items():
            if key and not _KEY.fullmatch(key):
                yield name, key, "32 hex digits"
        if record["status"] != "done":
            return
        train = self._job(keys["train_key"], "train", "train_key")
        yield from _unequal(self._of_the_training(record, train))
        made = train["deps"].get("synthesize")
        if record["ipc"] is None:
            if made or keys["distilled_key"]:
                yield "ipc", None, "a number: it was trained on a distilled set"
            return
        job = self._job(keys["distilled_key"], "synthesize", "distilled_key")
        yield from _unequal(self._of_the_set(record, job))
        head = key_of({**job, "spec": job["spec"] | {"ipc": record["ipc"]}})
        yield from _unequal([("distilled_key", [head], made)])
        if keys["label_key"]:
            label = self._job(keys["label_key"], "label", "label_key")
            spec = label["spec"] | {"ipc": record["ipc"]}
            content = key_of({**label, "spec": spec, "deps": label["deps"] | {"synthesize": [head]}})
            yield from _unequal([("label_key", [content], train["deps"].get("label"))])

    def _of_the_run(self, record: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        suite, protocol = self.about["suite"], self.about["protocol"]
        yield "suite", record["suite"], suite["name"]
        yield "suite_version", record.get("suite_version"), suite.get("version")
        yield "source", record["source"], self.about["source"]
        yield "protocol", record["protocol"], protocol["name"]
        yield "protocol_version", record.get("protocol_version"), protocol.get("version")
        yield "run", record.get("run"), self.about["name"]
        method = self.about["methods"].get(record["method"])
        yield "method (one of run.json)", method is not None, True
        yield "config (of run.json)", json.loads(record["config"]), method and method.get("config")

    def _of_the_training(self, record: dict[str, Any], job: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        spec, seed, set_seed = job["spec"], record["training_seed"], record["distillation_seed"]
        yield "student", record["student"], spec.get("student")
        yield "ipc", record["ipc"], spec.get("ipc")
        yield "seeds", seeds.derive(seed, "set", set_seed) if set_seed else seed, spec.get("seed")
        yield "data (fingerprint and classes of run.json)", self._data, spec.get("data")
        told = spec.get("protocol")
        told = told if isinstance(told, dict) else {}
        yield "protocol", record["protocol"], told.get("name")
        yield "protocol_version", record["protocol_version"], told.get("version")
        if not record.get("variant"):
            own = self._hashed_protocol(record["ipc"])
            for name, value in told.items():
                yield f"protocol.{name} of run.json", own.get(name), value

    def _of_the_set(self, record: dict[str, Any], job: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        spec, about = job["spec"], self.about["methods"][record["method"]]
        inner = spec.get("inner") or {}
        yield "method", record["method"], spec.get("method")
        yield "method_version", record.get("method_version"), spec.get("version")
        yield "distillation_seed", record["distillation_seed"], spec.get("seed")
        yield "data (fingerprint and classes of run.json)", self._data, spec.get("data")
        yield "code of run.json", about.get("code"), "+".join(filter(None, [spec.get("code"), inner.get("code")]))
        options = json.loads(record["config"])
        told = {
            **spec.get("config", {}),
            **{f"{inner.get('method')}.{n}": v for n, v in inner.get("config", {}).items()},
        }
        for name, value in told.items():  # what is a default is in no key
            if not _is_inner_config(value):
                yield f"option {name}", options.get(name), value

    def _job(self, key: str, kind: str, name: str) -> dict[str, Any]:
        found = self.identities.get(key)
        if found is None or found["kind"] != kind:
            raise ValueError(f"{name} {_short(key)}: identities.json.gz has no {kind} job of that key")
        return found

    @cached_property
    def _data(self) -> str:
        names = self.about.get("class_names") or self.about["classes"]
        classes = zip(self.about["classes"], names, strict=True)
        return data_key(str(self.about["data_fingerprint"]), classes, self.about["suite"].get("channels", 3))

    def _hashed_protocol_at(self, ipc: int | None) -> dict[str, Any]:
        try:
            protocol = at_ipc(Protocol.model_validate(self.about["protocol"]), ipc)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"run.json: protocol: {where}: {first['msg']}; this version knows no such one") from None
        return {name: hashed(getattr(protocol, name)) for name in Protocol.model_fields}


def check_identities(identities: dict[str, dict[str, Any]]) -> None:
    """Refuse a key that is none of what it is said to be hashed from.

    Raises:
        ValueError: says which.
    """
    for key, identity in identities.items():
        if not _KEY.fullmatch(key):
            raise ValueError(f"identities.json.gz: {_short(key)} is no key; expected 32 hex digits")
        fits = isinstance(identity, dict) and identity.keys() == _PARTS.keys()
        if not fits or not all(isinstance(identity[name], kind) for name, kind in _PARTS.items()):
            raise ValueError(f"identities.json.gz: {key}: expected {', '.join(_PARTS)}, and nothing else")
        if (own := key_of(identity)) != key:
            raise ValueError(f"identities.json.gz: forged key: {key}, and {own} by what it is hashed from")


def record_title(record: dict[str, Any]) -> str:
    """Return what a message calls a record."""
    at = "all data" if record["ipc"] is None else f"IPC {record['ipc']}"
    told = f"record of {record['method']}, {at}, {record['student']}, seeds {record['distillation_seed']}"
    return shorten(f"{told}/{record['training_seed']}", 160)


def _unequal(pairs: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield those of (name, found, expected) that differ; 1 and 1.0 do not, 1 and yes do."""
    for name, found, expected in pairs:
        same = found == expected and isinstance(found, bool) == isinstance(expected, bool)
        if not same and canonical(found) != canonical(expected):
            yield name, found, expected


def canonical(value: Any) -> str:
    """Return a value as text that equal values share."""
    return canonical_json(value)


def _is_inner_config(value: Any) -> bool:
    """Return whether a value stands for a config inside another: its class, and what differs from its defaults."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)


def _short(value: Any) -> str:
    return shorten(repr(value)[:400], 80)
