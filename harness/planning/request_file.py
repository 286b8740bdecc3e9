"""A whole request as a file: what a run leaves as request.yaml, and what `harness run --config` reads.

In: a request, or a YAML file that may come from anybody. Out: YAML, or plain values. Reading a file runs nothing of what it
names; a run made from it loads the plugins that it names, as if they had been given with --plugin.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.core.errors import UserError
from harness.core.yaml_text import parse_yaml

if TYPE_CHECKING:
    from pydantic import BaseModel

_MOST_BYTES = 1_000_000

_LISTS = ("methods", "ipc", "bytes", "students", "seeds", "distill_seeds", "plugins", "log")

_ONE_OF = ("ipc", "bytes")
"""Two ways to give a budget: one that is given beside a file replaces the other in it."""


def request_text(request: BaseModel) -> str:
    """Return a request as YAML, without the name of its run: that one is taken now."""
    values = {name: value for name, value in request.model_dump(mode="json").items() if name != "name"}
    head = "# A whole request: harness run --config request.yaml. Command-line flags override it.\n"
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def read_request(path: str | Path) -> dict[str, Any]:
    """Return the fields of a request that lies in a file; what they name is not looked at.

    Raises:
        UserError: the file cannot be read, or is no mapping of names.
    """
    where = f"--config {path}"
    file = Path(path)
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise UserError(f"{where}: is larger than {_MOST_BYTES:,} bytes, too large for a request.")
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    values = parse_yaml(text, where)[1]
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UserError(f"{where}: expected fields and values, e.g. `suite: digits`, as in a run's request.yaml.")
    for name in ("config", "console"):
        if name in values:
            raise UserError(f"{where}: unknown field {name!r}.")
    for name in _LISTS:
        if not _is_list(values.get(name)):
            raise UserError(f"{where}: {name}: expected a list of names or integers; found {values[name]!r}.")
    settings = values.get("settings") or {}
    if not isinstance(settings, dict):
        raise UserError(f"{where}: settings: expected options by target, such as {{minimax: {{epochs: 4}}}}.")
    return {**values, "settings": _by_target(settings, where)}


def _is_list(value: Any) -> bool:
    """Return whether a value is nothing, one name or whole number, or a list of these."""
    parts = value if isinstance(value, list) else [] if value is None else [value]
    return all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts)


def _by_target(settings: dict[Any, Any], where: str) -> dict[str, dict[str, Any]]:
    """Return settings by target and field, from {minimax: {epochs: 4}} or {minimax.epochs: 4}."""
    found: dict[str, dict[str, Any]] = {}
    for target, fields in settings.items():
        name, dot, field = str(target).partition(".")
        if dot and field:
            found.setdefault(name, {})[field] = fields
        elif isinstance(fields, dict):
            found.setdefault(name, {}).update(fields)
        else:
            raise UserError(f"{where}: settings: {target}: expected its options and their values.")
    return found


def beside_file(file: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a file with those that were given beside it; settings win one by one.

    Args:
        file: as `read_request` returns it.
        given: fields as `make_request` takes them, settings by target and field; None: not given.
    """
    own = {name: value for name, value in given.items() if value is not None and name != "settings"}
    left = {name: value for name, value in file.items() if not (name in _ONE_OF and any(one in own for one in _ONE_OF))}
    settings = {target: dict(fields) for target, fields in file["settings"].items()}
    for target, fields in (given.get("settings") or {}).items():
        settings.setdefault(target, {}).update(fields)
    return {**left, **own, "settings": settings}
