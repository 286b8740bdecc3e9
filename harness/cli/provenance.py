"""From a number back to what it was made of: the records of a run with their keys, a job with all its inputs, its log.

In: a run and the artefacts of a store. Out: printed lines. Nothing is computed and no torch is imported.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.core.errors import UserError
from harness.core.integrity import DamagedArtefact
from harness.core.paths import is_regular
from harness.core.plugin import discovery
from harness.core.plugin import fingerprint as fingerprint_module
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.core.text import DASH, duration, shorten, times, without_controls
from harness.jobs.job import KINDS
from harness.jobs.log import LOG
from harness.reporters.page.provenance import command_line, facts
from harness.reporters.runs import find_run

SHORT = 12
"""Hex digits of a key in tables; six tell the artefacts of a store apart in nearly every case."""


_SHOWN = 100
"""Characters of one value of a specification or result."""


_OWN_LINES = ("method", "version", "config", "code", "data", "weights")
"""Entries of a specification that are shown under names of their own."""


def print_run(run: str, store: str, console: Console) -> None:
    """Print where a run's numbers come from, and each record with its number and the key of the job that made it.

    Raises:
        UserError: no such run, or it has no records.
    """
    opened = RunFolder(find_run(run, store))
    about, records = opened.about, opened.records
    for name, value in [*facts(about), ("Command", command_line(about["request"], about["methods"]))]:
        _line(console, name, value, width=24)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("method", "IPC", "student", "seeds", "best", "last", "job"):
        table.add_column(column, justify="right" if column in ("IPC", "best", "last") else "left", no_wrap=True)
    for record in records:
        ipc = "all" if record["ipc"] is None else str(record["ipc"])
        names = [f"{record['method']} {record.get('variant') or ''}".strip(), ipc, record["student"]]
        numbers = [
            f"{record[m]:.2f}" if record.get(m) is not None else record["status"] for m in ("top1_best", "top1_last")
        ]
        seeds = f"{record['distillation_seed']}/{record['training_seed']}"
        table.add_row(*map(_text, [*names, seeds, *numbers, (record.get("train_key") or "")[:SHORT]]))
    console.print()
    console.print(table)
    console.print(
        Text("best, last: top-1 accuracy in percent; seeds: distillation/training. `harness show job JOB` shows more.")
    )


def print_job(prefix: str, store: str, console: Console, *, plugins: list[str]) -> None:
    """Print a job from its number to its data: the records that it made, what it did, its code, its log, its inputs.

    Args:
        prefix: the first six or more hex digits of its key.
        plugins: files of methods that are not among the harness's own.

    Raises:
        UserError: no such artefact, or several.
    """
    discovery.discover()
    for path in plugins:
        discovery.load_plugin(path)
    place = Store(store)
    kind, key = find_artefact(prefix, place)
    _print_artefact(kind, key, place, console, depth=0, seen=set())


def print_log(prefix: str, store: str, console: Console) -> None:
    """Print what a job printed while it ran.

    Raises:
        UserError: no such artefact, several, or one from before logs were kept.
    """
    place = Store(store)
    kind, key = find_artefact(prefix, place)
    try:
        path = place.fetch(kind, key) / LOG
    except FileNotFoundError as error:
        raise UserError(f"{error}.") from None
    if not is_regular(path):
        raise UserError(f"{kind} {key[:SHORT]} has no {LOG}: made before logs were recorded.")
    console.print(_text(path.read_text(encoding="utf-8", errors="replace")), end="", soft_wrap=True)


def find_artefact(prefix: str, store: Store) -> tuple[str, str]:
    """Return kind and key of the artefact whose key begins so.

    Raises:
        UserError: it is no beginning of a key, there is no such artefact, or several.
    """
    if not re.fullmatch(r"[0-9a-f]{6,32}", prefix):
        raise UserError(f"{prefix!r} is not a key: expected 6 to 32 hex digits. `harness show run RUN` lists keys.")
    found = sorted((made["kind"], made["key"]) for made in store.local_manifests(KINDS, prefix))
    if not found and len(prefix) == 32:  # a remote store is asked for a whole key
        found = [(kind, prefix) for kind in KINDS if store.has(kind, prefix)]
    if not found:
        raise UserError(
            f"no job whose key starts with {prefix} in store {store.uri}. `harness show run RUN` lists keys; --store "
            "DIR selects another store."
        )
    if len(found) > 1:
        names = ", ".join(f"{kind} {key}" for kind, key in found[:5])
        raise UserError(f"{times(len(found), 'job')} match {prefix}: {names}. Use more digits.")
    return found[0]


def _print_artefact(kind: str, key: str, store: Store, console: Console, depth: int, seen: set[str]) -> None:
    """Print one job and, indented, those that it was made of; one that was printed above is only named."""
    try:
        made = store.manifest(kind, key)
    except FileNotFoundError as error:
        state = (
            "damaged; `harness verify` shows details"
            if isinstance(error, DamagedArtefact)
            else "no longer in the store"
        )
        console.print(_indented(depth, f"{kind} {key}: {state}"))
        return
    console.print(_indented(depth, str(made.get("title", kind)), style="bold"))
    if key in seen:
        _line(console, "key", f"{key}, shown above", depth)
        return
    seen.add(key)
    for name, value in _facts(kind, key, made, store):
        _line(console, name, value, depth)
    for role, keys in made.get("deps", {}).items():
        for one in keys:
            _line(console, "input", "", depth)
            _print_artefact(role if role in KINDS else "prior", one, store, console, depth + 1, seen)


def _facts(kind: str, key: str, made: dict[str, Any], store: Store) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of a job in the order in which they are read."""
    spec, measured, folder = made.get("spec", {}), made.get("measured", {}), store.path(kind, key)
    yield "key", key
    yield "kind", kind
    when = made.get("ended") or "unknown: made before times were recorded"
    where = f" on {measured['device_name']}" if measured.get("device_name") else ""
    where += f" of {measured['host']}" if measured.get("host") else ""
    yield "ended", f"{when}; took {duration(measured.get('wall_s'))}{where}"
    yield from (("record", line) for line in _cited_by(key, store))
    if result := _values(made.get("result", {})):
        yield "result", result
    if "method" in spec:
        yield "method", f"{spec['method']} version {spec.get('version')}, config {json.dumps(spec.get('config', {}))}"
    if "code" in spec:
        yield "code", _code(str(spec["method"]), str(spec["code"]))
    for name, value in spec.items():
        if name not in _OWN_LINES and value is not None:
            yield name, json.dumps(value)
    for name in ("weights", "data"):
        if spec.get(name):
            yield name, f"fingerprint {spec[name]}"
    yield "files", str(folder)
    yield "log", str(folder / LOG) if (folder / LOG).is_file() else "none: made before logs were recorded"


def _cited_by(key: str, store: Store) -> Iterator[str]:
    """Yield a line for each record of the store's runs that is of this job, with the data of the run."""
    for run in sorted(RunFolder.all_in(store.runs), key=lambda one: one.name):
        if not run.has_records:
            continue
        try:
            about, records = run.about, run.records
        except UserError as error:
            yield shorten(str(error), _SHOWN)
            continue
        for record in records:
            if record.get("train_key") == key and record["status"] == "done":
                commit = about.get("environment", {}).get("git", {}).get("commit")
                yield (
                    f"run {run.name}: top-1 best {_percent(record, 'top1_best')}, last {_percent(record, 'top1_last')}; suite "
                    f"{record['suite']} version {record.get('suite_version')}, {record['source']}, data fingerprint "
                    f"{about.get('data_fingerprint')}"
                    + (f"; harness at commit {commit}" if commit else "")
                    + _attempts(record)
                )


def _attempts(record: dict[str, Any]) -> str:
    """Return how often jobs of a record were tried and why, where that is more than once."""
    if (attempts := record.get("attempts") or 1) == 1:
        return ""
    return f"; {attempts} attempts, {duration(record.get('lost_s'))} lost to: {shorten(record.get('lost_to') or '', _SHOWN)}"


def _percent(record: dict[str, Any], name: str) -> str:
    return DASH if record.get(name) is None else f"{record[name]:.2f}"


def _code(method: str, fingerprint: str) -> str:
    """Return the fingerprint of a method's code, its file, and whether that is still the same."""
    if method not in discovery.methods:
        return f"{fingerprint}; method {method} is unknown here: name its file with --plugin"
    cls = discovery.methods.get(method)
    now = fingerprint_module.code_fingerprint(cls)
    state = "unchanged since" if now == fingerprint else f"changed since (now {now})"
    try:
        file = inspect.getsourcefile(cls) or "unknown file"
    except (OSError, TypeError):
        file = "unknown file"
    return f"{fingerprint}; {file}, {state}"


def _values(result: dict[str, Any]) -> str:
    """Return the plain values of a result in one line."""
    plain = {k: v for k, v in result.items() if isinstance(v, str | int | float) and not isinstance(v, bool)}
    return ", ".join(f"{k} {shorten(f'{v:.6g}' if isinstance(v, float) else str(v), _SHOWN)}" for k, v in plain.items())


def _line(console: Console, name: str, value: str, depth: int = 0, width: int = 14) -> None:
    console.print(_indented(depth, f"  {name:<{width - 1}} {value}".rstrip()), soft_wrap=True, highlight=False)


def _indented(depth: int, text: str, style: str = "") -> Text:
    return Text("    " * depth + without_controls(text).replace("\n", " "), style=style)


def _text(text: str) -> Text:
    """Return what a file says without marks for a terminal."""
    return Text(without_controls(text))
