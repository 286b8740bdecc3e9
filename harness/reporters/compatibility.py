"""Whether several runs may stand in one table: same suite, data, protocol, and code of each method.

In: the folders of runs. Out: nothing, or a refusal that names every difference. Reads no records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.core.config.base import plain
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Suite
from harness.core.errors import UserError
from harness.core.run_folder import RunFolder
from harness.core.text import shorten

_FREE = frozenset(
    ("title", "budget", "students", "resources", "protocol", "protocol_overrides", "method_overrides", "full_accuracy",
     "source", "classes")
)  # fmt: skip
"""Fields of a suite in which runs may differ: what was asked for, and what is compared in another form below."""


_CODE = "code of "


def check_agreement(folders: list[Path]) -> None:
    """Refuse runs whose numbers may not be put side by side.

    Raises:
        UserError: names each difference with the values of both runs; nothing was merged.
    """
    facts = {folder: _facts(folder) for folder in folders}
    found = []
    for name in dict.fromkeys(name for own in facts.values() for name in own):
        # A method's code is compared among the runs that have the method, all else among all.
        having = [folder for folder in folders if name in facts[folder] or not name.startswith(_CODE)]
        first = facts[having[0]].get(name)
        for folder in having[1:]:
            if (other := facts[folder].get(name)) != first:
                title = name.split("\n")[0]
                found.append(f"{title}: {_short(first)} in {having[0].name}, {_short(other)} in {folder.name}")
    if found:
        raise UserError(
            "these runs do not fit into one table; report them one by one, or run one of them again:\n  "
            + "\n  ".join(found)
        )


def _facts(folder: Path) -> dict[str, Any]:
    """Return what must be equal, by the name that a refusal gives it."""
    about = RunFolder(folder).about
    suite = _with_defaults(Suite, about.get("suite", {}))
    facts = {"suite": suite.get("name"), "suite version": suite.get("version"), "source": about.get("source")}
    facts |= {"data (fingerprint)": about.get("data_fingerprint"), "classes": about.get("classes")}
    facts |= dict(_flat("suite", {k: v for k, v in suite.items() if k not in {*_FREE, "name", "version"}}))
    facts |= dict(_flat("protocol", _with_defaults(Protocol, about.get("protocol", {}))))
    for name, method in about.get("methods", {}).items():
        if method.get("code"):  # other settings make another method: they get a label of their own
            facts[f"{_CODE}{name}\n{json.dumps(method.get('config'), sort_keys=True)}"] = method["code"]
    return facts


def _with_defaults(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a run, with defaults for fields that came after it: keys take it the same way."""
    defaults = {name: info for name, info in model.model_fields.items() if not info.is_required()}
    return {name: plain(info.get_default(call_default_factory=True)) for name, info in defaults.items()} | values


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings as ("protocol.lr", 0.01)."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, value


def _short(value: Any) -> str:
    return shorten(str(value), 40)
