"""Print what exists: lists, one method, one suite, a plan. Imports no torch."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.list_suites import COLUMNS, budget_text, num_images, suite_rows
from harness.cli.show_plan import times_of
from harness.cli.show_protocol import protocol_rows, value_text
from harness.core.bibtex import parse_bibtex
from harness.core.config.base import checked
from harness.core.config.protocol import Protocol
from harness.core.config.search import declared
from harness.core.config.suite import Suite
from harness.core.errors import UserError
from harness.core.plugin import discovery, fingerprint
from harness.core.remote_runs import fetch_runs
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.core.suites import load_suite
from harness.core.text import shorten, without_controls
from harness.planning.resolve_suite import suite_protocol, with_protocol_names
from harness.students.spec import catalogue
from harness.training.protocols import find_protocol

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


@dataclass(frozen=True)
class Places:
    """Where lists look: folders as on the command line."""

    store: str = "results"
    data_root: str = "data"
    weights_root: str | None = None


def _methods(places: Places) -> Rows:
    rows: list[tuple[str, ...]] = []
    for name in discovery.methods.names():
        cls = discovery.methods.get(name)
        rows.append((name, cls.title, ", ".join(sorted(cls.needs)) or "-", cls.reference))
    rows += [(name, "", "", f"cannot be used: {why}") for name, why in sorted(discovery.methods.broken.items())]
    return ("method", "title", "needs", "reference"), rows


def _suites(places: Places) -> Rows:
    return COLUMNS, suite_rows(places.data_root, places.weights_root)


def _students(places: Places) -> Rows:

    return ("student", "what"), [tuple(row) for row in catalogue()]


def _protocols(places: Places) -> Rows:

    return ("protocol", "what"), protocol_rows()


def _runs(places: Places) -> Rows:
    return ("run", "suite", "status", "started", "jobs"), [
        _run_row(one) for one in RunFolder.all_in(fetch_runs(Store(places.store)))
    ]


def _run_row(run: RunFolder) -> tuple[str, ...]:
    """Return what a list says of a run; one that cannot be read does not hide the others."""
    try:
        about = run.about
    except UserError as error:
        return run.name, "-", f"cannot be read: {shorten(str(error), 200)}", "-", "-"
    jobs = about.get("jobs", {})
    ended = f"{jobs.get('done', 0)} run, {jobs.get('cached', 0)} cached, {jobs.get('failed', 0)} failed"
    status = str(about.get("status")) if run.has_records else "running or killed"
    return run.name, about["suite"]["name"], status, about.get("started") or "-", ended if jobs else "-"


LISTS: dict[str, Callable[[Places], Rows]] = {
    "methods": _methods,
    "suites": _suites,
    "students": _students,
    "protocols": _protocols,
    "runs": _runs,
}


def print_list(what: str, console: Console, *, plugins: list[str], places: Places) -> None:
    """Print a table of methods, suites, students, protocols or runs."""
    discovery.discover()
    for path in plugins:
        discovery.load_plugin(path)
    columns, rows = LISTS[what](places)
    table = Table(box=None, pad_edge=False, header_style="bold")
    one_line = what == "suites"  # where the terminal is narrow, the last column is cut
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    left = max(10, console.width - sum(widths[:-1]) - 2 * len(widths))
    for number, column in enumerate(columns):
        most = left if one_line and number == len(columns) - 1 else None
        table.add_column(column, no_wrap=number == 0 or one_line, max_width=most)
    for row in rows:
        table.add_row(*(Text(without_controls(cell).replace("\n", " ")) for cell in row))
    console.print(table)
    if not rows:
        console.print(f"no {what} yet")


def print_method(name: str, console: Console, *, plugins: list[str]) -> None:
    """Print what a method is, what it needs, and every option with default and source."""
    discovery.discover()
    for path in plugins:
        discovery.load_plugin(path)
    cls = discovery.methods.get(name)
    console.print(Text(f"{name}: {cls.title}", style="bold"))
    console.print(Text(f"reference  {cls.reference}"))
    console.print(Text(f"needs      {', '.join(sorted(cls.needs)) or 'only the real images'}"))
    nested = "yes: a smaller set is the head of a larger one" if cls.nested else "no: each IPC is distilled separately"
    console.print(Text(f"nested     {nested}"))
    console.print(Text(f"version    {cls.version}, code {fingerprint.code_fingerprint(cls)}"))
    own = inspect.cleandoc(cls.__doc__ or "")  # not getdoc, which takes that of a base class
    for text in (inspect.getdoc(inspect.getmodule(cls)) or "", own):
        if text:
            console.print()
            console.print(Text(_unwrapped(text)))
    console.print()
    _print_fields(cls.Config, console, prefix=f"--set {name}.")
    if cls.citation():
        console.print()
        for entry in parse_bibtex(cls.citation()):
            console.print(Text(str(entry)), soft_wrap=True)


def _unwrapped(text: str) -> str:
    """Join the lines of each paragraph: the console breaks them. Lines that are indented or listed stay."""
    return re.sub(r"(?<=\S)\n(?=[^\s*\-+|>])", " ", text)


def _print_fields(model: type[BaseModel], console: Console, prefix: str, values: dict[str, Any] | None = None) -> None:
    if not model.model_fields:
        console.print("no options")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("option", "default", "what"):
        table.add_column(column)
    for name, info in model.model_fields.items():
        default = info.default if values is None else values.get(name, info.default)
        space = declared(info)
        what = f"{info.description or ''}{f'; harness tune tries {space}' if space else ''}"
        table.add_row(Text(f"{prefix}{name}"), Text(str(default)), Text(what))
    console.print(table)


def print_suite(name: str, console: Console) -> None:
    """Print a suite: data, budget, and each field that it changes in a protocol or a method, beside the default."""
    discovery.discover()
    file = load_suite(name)
    suite, files = with_protocol_names(file.suite, file.folder)
    console.print(Text(f"{suite.name} (version {suite.version}): {suite.title}", style="bold"))
    lines = {
        "source": ", ".join(f"{k} {value_text(v)}" for k, v in suite.source.items() if not isinstance(v, dict)),
        "classes": suite.classes,
        "images": num_images(suite),
        "sizes": f"{suite.image_size} px distilled, {suite.side} px for students{', grey' if suite.channels == 1 else ''}",
        "budget": budget_text(suite),
        "seeds": f"distillation {value_text(suite.budget.distillation_seeds)}, "
        f"training {value_text(suite.budget.training_seeds)}",
        "students": ", ".join(suite.students),
        "protocol": suite.protocol,
        "teacher": f"{suite.teacher.student}, {suite.teacher.epochs} epochs" if suite.teacher else "none",
        "full data": f"{suite.full_accuracy} % top-1 (stated)" if suite.full_accuracy is not None else "not stated",
    }
    for kind, spec in suite.generators.items():
        lines[f"generator {kind}"] = spec.weights or "will be trained during the run"
    for kind, resources in suite.resources.items():
        gpus = f", {times_of(resources.gpus, 'GPU')}" if resources.gpus else ""
        lines[f"{kind} job"] = f"{times_of(resources.cpus, 'CPU')}{gpus}, {resources.memory_gb:g} GB"
    for label, text in lines.items():
        console.print(Text(f"{label:<28}{text}"))
    for label, changes in _changes(suite, files):
        if not changes:
            continue
        console.print()
        console.print(Text(f"{label}: what this suite changes", style="bold"))
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("field", "suite", "default"):
            table.add_column(column)
        for row in changes:
            table.add_row(*map(Text, row))
        console.print(table)


def _changes(suite: Suite, files: Mapping[str, Protocol]) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Yield a protocol or method with (field, value, default) of what the suite changes in it."""
    for name, changes in suite.protocol_overrides.items():
        before: BaseModel = files.get(name) or find_protocol(name)
        yield f"protocol {name}", _differences(before, suite_protocol(suite, name, files=files), changes)
    for name, changes in suite.method_overrides.items():
        if name in discovery.methods:
            model = discovery.methods.get(name).Config
            after = checked(model, changes, f"suite {suite.name}: method {name}")
            yield f"method {name}", _differences(model.model_construct(), after, changes)


def _differences(before: BaseModel, after: BaseModel, fields: Iterable[str]) -> list[tuple[str, str, str]]:
    pairs = {field: (getattr(after, field), getattr(before, field, None)) for field in fields}
    return [
        (name, value_text(value), value_text(default)) for name, (value, default) in pairs.items() if value != default
    ]
