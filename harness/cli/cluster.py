"""`harness doctor --ray-address ...`: what each node of a cluster is and what it lacks. Leaves nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.core.classes import read_class_list
from harness.core.plugin import discovery
from harness.core.plugin.plugin_files import read_plugin
from harness.core.suites import load_suite
from harness.core.text import DASH
from harness.data.sources.base import open_source
from harness.execution.ray.capacity import GB, Node
from harness.execution.ray.join import joined
from harness.execution.ray.nodes import Expected, NodeReport, look_at_nodes, versions
from harness.execution.ray.probe import Probe

_COLUMNS = ("", "node", "host", "CPUs", "GPUs", "model", "memory", "Python", "Ray", "harness", "data", "store")


@dataclass(frozen=True)
class Places:
    """Where a run would find images and put results."""

    store: str
    data_root: str


def print_nodes(console: Console, address: str, *, suite: str | None, places: Places, plugins: list[str]) -> int:
    """Print a row for each node, then what nodes lack. Return 0, or 1 where one that can run jobs lacks something.

    Args:
        console: where to.
        address: of the cluster.
        suite: whose images each node must have; None: none.
        places: store and data root.
        plugins: files that may bring the suite's kind of source.

    Raises:
        UserError: the cluster cannot be joined, the suite is unknown, or its images are not on this machine.
    """
    expected = _expected(suite, places, plugins)
    with joined(address) as ray:
        rows = [row for row in ray.nodes() if row["Alive"]]
        reports = look_at_nodes(ray, rows, expected)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in ("CPUs", "GPUs", "memory") else "left", no_wrap=True)
    for row, report in zip(rows, reports, strict=True):
        table.add_row(*_cells(row, report, expected))
    console.print(table)
    for report in reports:
        for problem in report.problems.values():
            line = f"{report.host} (node {report.node[:8]}) {problem}."
            console.print(Text(line), soft_wrap=True)
    working = {row["NodeID"] for row in rows if row["Resources"].get("CPU")}
    if not working:
        console.print("No node has a CPU for jobs.")
    failing = {report.node for report in reports if report.problems}
    return 1 if failing & working or not working else 0


def _expected(suite: str | None, places: Places, plugins: list[str]) -> Expected:
    """Return what this machine has, which the nodes must have."""
    store = places.store if "://" in places.store else str(Path(places.store).resolve())
    discovery.discover()
    probe, texts = Probe(store, uuid.uuid4().hex), [*discovery.own_plugins.values()]
    for plugin in plugins:
        texts.append(read_plugin(plugin))
        discovery.load_plugin_source(texts[-1])
    if suite is None:
        return Expected(versions(), probe=probe, plugins=tuple(texts))
    file = load_suite(suite)
    class_ids = tuple(c.id for c in read_class_list(file.class_list))
    root = Path(places.data_root).resolve()
    data = open_source(file.suite.source, class_ids, root).fingerprint()
    return Expected(versions(), file.suite.source, class_ids, str(root), data, tuple(texts), probe)


def _cells(row: Mapping[str, Any], report: NodeReport, expected: Expected) -> list[Text]:
    """Return a node's row; "same" and "shared" where it is as on this machine."""
    node, lacks = Node.read(row), report.problems.keys()

    def word(name: str, fine: str) -> str:
        return DASH if "answer" in lacks else "--" if name in lacks else fine

    mark = Text("--" if lacks else "ok", style="yellow" if lacks else "green")
    data = word("data", "same") if expected.source else DASH
    found = [report.versions.get(name, DASH) for name in ("Python", "Ray", "harness")]
    size = (f"{node.cpus:g}", str(len(node.gpus)), node.accelerator or DASH, f"{node.memory / GB:.0f} GB")
    return [mark, *map(Text, (node.id[:8], report.host, *size, *found, data, word("store", "shared")))]
