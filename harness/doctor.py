"""`harness doctor`: what this machine can run. Reads only; changes nothing."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import discovery, measure
from harness.errors import UserError
from harness.suites import SuiteFile, load_suite, suite_names

GB = 10**9


def print_report(console: Console, *, data_root: str, store: str) -> int:
    """Print devices, versions, Ray, methods, and each suite's data and weights. Return 0, or 1 if nothing can run."""
    _section(console, "machine", _machine())
    _section(console, "packages", [(name, version, version != "missing") for name, version in _versions().items()])
    _section(console, "ray", [_ray()])
    _section(console, "store", [_store(store)])
    discovery.discover()
    broken = [(name, why, False) for name, why in discovery.methods.broken.items()]
    _section(console, "methods", [*((name, "can be imported", True) for name in discovery.methods.names()), *broken])
    suites = [row for name in suite_names() for row in _suite(name, data_root)]
    _section(console, "suites", suites)
    return 0 if any(fine for _, _, fine in suites) else 1


def _section(console: Console, title: str, rows: list[tuple[str, str, bool]]) -> None:
    console.print(Text(title, style="bold"))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, min_width=5)
    table.add_column(no_wrap=True, min_width=26)
    table.add_column()
    for name, text, fine in rows:
        table.add_row(Text("  ok" if fine else "  --", style="green" if fine else "yellow"), Text(name), Text(text))
    console.print(table)
    console.print()


def _machine() -> list[tuple[str, str, bool]]:
    rows = [
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", True),
        ("cpu", f"{measure.cpu_name()}, {os.cpu_count()} cores", True),
    ]
    if measure.has_cuda():
        import torch

        for number in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(number)
            rows.append((f"cuda:{number}", f"{device.name}, {device.total_memory / GB:.0f} GB", True))
    else:
        rows.append(("cuda", "no usable GPU: everything runs on the CPU", False))
    git = measure.git_state()
    rows.append(
        ("git", f"commit {git['commit']}, {'dirty' if git['dirty'] else 'clean'}" if git["commit"] else "none", True)
    )
    return rows


def _versions() -> dict[str, str]:
    return measure.package_versions()


def _ray() -> tuple[str, str, bool]:
    try:
        import ray
    except ImportError as error:
        return ("ray", f"cannot be imported ({error}); use --executor local", False)
    return ("ray", f"{ray.__version__}: a run starts a local one and stops it; --ray-address joins a cluster", True)


def _store(store: str) -> tuple[str, str, bool]:
    folder = Path(store)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return (store, "can be written", True)
    except OSError as error:
        return (store, f"cannot be written: {error}", False)


def _suite(name: str, data_root: str) -> list[tuple[str, str, bool]]:
    from harness.data.class_list import read_class_list
    from harness.data.sources import open_source

    file = load_suite(name)
    try:
        classes = read_class_list(file.class_list)
        source = open_source(file.suite.source, tuple(c.id for c in classes), Path(data_root))
        source.check()
        row = (name, f"data: {source.describe()}", True)
    except UserError as error:
        row = (name, f"data: {error}", False)
    return [row, *_weights(file, data_root)]


def _weights(file: SuiteFile, data_root: str) -> list[tuple[str, str, bool]]:
    from harness.request import hub_revisions, locate

    rows = []
    for kind, spec in file.suite.generators.items():
        found = locate(spec, file, data_root)
        for part in ("weights", "encoder", "decoder"):
            wanted, path = getattr(spec, part), getattr(found, part)
            if wanted:
                here = Path(path).exists() or bool(hub_revisions(wanted))
                rows.append((f"  {kind} {part}", f"{wanted}: {'found' if here else 'not on this machine'}", here))
        if spec.weights is None:
            rows.append((f"  {kind}", "trained by the prior job", True))
    return rows
