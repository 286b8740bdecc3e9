"""`harness show protocol`: every field of a protocol beside the default, and as a suite changes it. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.core.config.protocol import ByIpc, Protocol
from harness.core.plugin import discovery
from harness.core.suites import load_suite
from harness.core.text import DASH
from harness.planning.resolve_suite import suite_protocol, with_protocol_names
from harness.training.protocol_files import ProtocolFile, is_path, shipped_names
from harness.training.protocols import protocols, read_own, shipped

_IDENTITY = ("name", "version")


def protocol_rows() -> list[tuple[str, ...]]:
    """Return name and title of every protocol."""
    own = shipped_names()
    others = [(name, "registered by a plugin") for name in protocols if name not in own]
    return [*((name, shipped(name).title) for name in own), *others]


def print_protocol(name: str, console: Console, *, suite: str | None, plugins: list[str]) -> None:
    """Print what a protocol is, and each field: its value, the suite's where one is named, and the default.

    Args:
        name: of a protocol, or the path of its file.
        suite: name or path; None: as the protocol has it.
        plugins: files to load first.

    Raises:
        UserError: no such protocol or suite, or a file has a mistake.
    """
    discovery.discover()
    for path in plugins:
        discovery.load_plugin(path)
    file = _file(name)
    protocol = file.protocol if file else protocols.get(name)
    console.print(Text(f"{protocol.name} (version {protocol.version}): {file.title if file else DASH}", style="bold"))
    console.print(Text(f"source   {file.source if file else 'registered by a plugin'}"))
    changed = _in_suite(protocol, suite) if suite else None
    if suite:
        console.print(Text(f"suite    {suite}: these are the values that a run on this suite uses"))
    console.print()
    console.print(_table(protocol, changed, suite))


def _file(name: str) -> ProtocolFile | None:
    """Return the file of a protocol; None: it is a plugin's."""
    if is_path(name):
        return read_own(Path(name))
    return shipped(name) if name in shipped_names() else None


def _in_suite(protocol: Protocol, suite: str) -> Protocol:
    """Return a protocol as a suite changes it."""
    file = load_suite(suite)
    named, files = with_protocol_names(file.suite, file.folder)
    return suite_protocol(named, protocol.name, files={**files, protocol.name: protocol})


def _table(protocol: Protocol, changed: Protocol | None, suite: str | None) -> Table:
    """Return a row for each field; what differs from the default is bold."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    default = Protocol()
    columns = [protocol, *([changed] if changed else [])]
    for column in ("field", "value", *(["suite"] if changed else []), "default", "what"):
        table.add_column(column, no_wrap=column == "field")
    for name, info in Protocol.model_fields.items():
        if name in _IDENTITY:
            continue
        values = [getattr(one, name) for one in (*columns, default)]
        style = "bold" if values[-2] != values[-1] else ""
        table.add_row(*(Text(t, style=style) for t in (name, *map(value_text, values))), Text(info.description or ""))
    return table


def value_text(value: Any) -> str:
    """Return a value as a file would have it, roughly: a number by IPC in words."""
    if value is None:
        return "null"
    if value == "":
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByIpc):
        return ", ".join([*(f"{number} to IPC {bound}" for bound, number in value.up_to), str(value.above)])
    if isinstance(value, dict):
        return ", ".join(f"{key}: {value_text(one)}" for key, one in value.items()) or "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(f'{one:.4g}' if isinstance(one, float) else value_text(one) for one in value)}]"
    return str(value)
