"""`harness doctor`: what this machine can run, or the nodes of a cluster. Changes nothing."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli import cluster, options
from harness.cli.consoles import stdout
from harness.cli.missing import for_suites, print_missing, print_ready
from harness.core import environment, hub
from harness.core.classes import read_class_list
from harness.core.config.generator import GeneratorSpec
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.suites import SuiteFile, load_suite, suite_names
from harness.data.sources.base import open_source
from harness.diffusion import weights
from harness.diffusion.generator_kinds import check_generator
from harness.training import teacher_lookup

GB = 10**9


def doctor(
    data_root: options.DataRoot = "data",
    store: options.Store = "results",
    weights_root: options.WeightsRoot = None,
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help="Check every node of this Ray cluster instead.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="With --ray-address: the suite whose images must be on every node.")
    ] = None,
    plugin: options.Plugins = None,
    every: Annotated[
        bool, typer.Option("--all", help="List every part of every suite: found or missing, and its path.")
    ] = False,
) -> int:
    """Show which suites can run here and how to get what the others need; check this machine, or every node of a cluster.

    Examples: `harness doctor`, `harness doctor --all`,
    `harness doctor --ray-address auto --suite digits --store /shared/results`.
    """
    if ray_address is not None:
        plugins = [str(path) for path in plugin or ()]
        places = cluster.Places(store, data_root)
        return cluster.print_nodes(stdout(), ray_address, suite=suite, places=places, plugins=plugins)
    if suite is not None or plugin:
        raise UserError("--suite and --plugin check the nodes of a cluster; add --ray-address, or omit them.")
    return print_report(stdout(), data_root=data_root, store=store, weights_root=weights_root, every=every)


def print_report(
    console: Console, *, data_root: str, store: str, weights_root: str | None = None, every: bool = False
) -> int:
    """Print what can run here, what is missing with the command that gets it, and the machine.

    Args:
        console: where to.
        data_root, store, weights_root: places, as on the command line.
        every: of all suites every part that is here or missing, each once with the suites that need it.

    Returns:
        0, or 1 if no suite has its data.
    """
    hub.check_root(weights_root)
    discovery.discover()
    parts: dict[tuple[str, str, bool], list[str]] = {}
    for name in suite_names():
        for part in _suite(name, data_root, weights_root):
            parts.setdefault(part, []).append(name)
    ready = [name for (what, _, fine), names in parts.items() if what == "data" and fine for name in names]
    print_ready(console, ready, len(suite_names()))
    _section(console, "machine", [*_machine(), _packages(), *_ray(), _store(store), *_methods()])
    if not every:
        print_missing(console, {part: names for part, names in parts.items() if not part[2]})
        return 0 if ready else 1
    ordered = sorted(parts, key=lambda part: part[0] != "data")
    found, missing = ([part for part in ordered if part[2] is fine] for fine in (True, False))
    for title, rows in (("suites: found", found), ("suites: missing", missing)):
        _section(
            console,
            title,
            [(what, f"{text}\n{for_suites(parts[what, text, fine])}", fine) for what, text, fine in rows],
        )
    return 0 if ready else 1


def _section(console: Console, title: str, rows: list[tuple[str, str, bool]]) -> None:
    console.print(Text(title, style="bold"))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text, fine in rows:
        table.add_row(Text("  ok" if fine else "  --", style="green" if fine else "yellow"), Text(name), Text(text))
    console.print(table)
    console.print()


def _machine() -> list[tuple[str, str, bool]]:
    rows = [
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", True),
        ("cpu", f"{environment.cpu_name()}, {os.cpu_count()} cores", True),
    ]
    if environment.has_cuda():
        import torch

        for number in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(number)
            rows.append((f"cuda:{number}", f"{device.name}, {device.total_memory / GB:.0f} GB", True))
    else:
        rows.append(("cuda", "no usable GPU: everything runs on the CPU", False))
    git = environment.git_state()
    state = f"commit {git['commit'][:12]}, {'dirty' if git['dirty'] else 'clean'}" if git["commit"] else "none"
    return [*rows, ("git", state, True)]


def _packages() -> tuple[str, str, bool]:
    versions = environment.package_versions()
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    return ("packages", text, "missing" not in versions.values())


def _methods() -> list[tuple[str, str, bool]]:
    """Say how many methods can be imported, and a row for each that cannot."""
    broken = [("method", f"{name}: {why}", False) for name, why in discovery.methods.broken.items()]
    return [("methods", f"{len(discovery.methods.names())} can be imported", True), *broken]


def _ray() -> list[tuple[str, str, bool]]:
    try:
        import ray  # noqa: F401 -- its version stands among the packages'
    except ImportError as error:
        return [("ray", f"cannot be imported ({error}); use --executor local", False)]
    return []


def _store(store: str) -> tuple[str, str, bool]:
    folder = Path(store)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ("store", f"{store} can be written", True)
    except OSError as error:
        return ("store", f"{store} cannot be written: {error}", False)


def _suite(name: str, data_root: str, weights_root: str | None) -> list[tuple[str, str, bool]]:
    """Return what a suite needs: which part of it, where that is or how to get it, and whether it is here."""
    try:
        file = load_suite(name)
    except UserError as error:
        return [("file", str(error), False)]
    try:
        classes = read_class_list(file.class_list)
        source = open_source(file.suite.source, tuple(c.id for c in classes), Path(data_root))
        source.check()
        row = ("data", source.describe(), True)
    except UserError as error:
        row = ("data", str(error), False)
    return [row, *_weights(file, data_root, weights_root), *_teacher(file, data_root, weights_root)]


def _weights(file: SuiteFile, data_root: str, weights_root: str | None) -> list[tuple[str, str, bool]]:
    """Say of each part of each generator where it is, or how to get it; then whether the parts fit the suite."""
    rows = []
    for kind, spec in file.suite.generators.items():
        if spec.weights is None:
            rows.append((kind, "will be trained during the run", True))
            continue
        found = weights.locate(spec, file, data_root, weights_root)
        for part in weights.PARTS:
            wanted, place = getattr(spec, part), getattr(found, part)
            if wanted:
                rows.append((f"{kind} {part}", *_place(wanted, place)))
        rows += _fit(kind, found, file)
    return rows


def _teacher(file: SuiteFile, data_root: str, weights_root: str | None) -> list[tuple[str, str, bool]]:
    """Say where a given teacher is; nothing where the run trains it, or the suite has none."""
    if file.suite.teacher is None or file.suite.teacher.weights is None:
        return []
    try:
        place = teacher_lookup.locate(file, data_root, weights_root).weights
    except UserError as error:
        return [("teacher", str(error), False)]
    known = "a pretrained timm model; the first run downloads it if the hub's cache does not have it"
    return [("teacher", f"{place}: {known}" if str(place).startswith("timm:") else f"found, {place}", True)]


def _place(wanted: str, place: str) -> tuple[str, bool]:
    path = hub.on_disk(place)
    if path is not None:
        return f"{wanted}: found, {path}", True
    if hub.hub_id(wanted) is None:
        return f"{wanted}: not on this machine; put it under --weights-root", False
    how = "and HF_HUB_OFFLINE disables downloads" if hub.offline() else "the first run downloads it"
    return f"{wanted}: not on this machine; {how}", False


def _fit(kind: str, found: GeneratorSpec, file: SuiteFile) -> list[tuple[str, str, bool]]:
    """Return a row where what was found does not fit the suite; nothing where it fits or is not here yet."""
    try:
        classes, labels = read_class_list(file.class_list), weights.label_ids(found, file)
        check_generator(kind, found, classes, labels, file.suite.image_size, file.suite.channels)
        reason = weights.why_unknown(kind, labels, classes)
    except UserError as error:
        reason = str(error)
    return [(kind, reason, False)] if reason else []
