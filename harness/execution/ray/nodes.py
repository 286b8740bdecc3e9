"""Look at every node of a cluster before the first job: has it our code, the suite's data, the store?

In: what the driver has. Out: a report per node, made by one small task on each, all at the same time. A task asks for no CPU,
so that a busy node answers too. What is wrong is found before a job fails on one node and works on another.
"""

from __future__ import annotations

import contextlib
import platform
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.core.environment import code_version
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.plugin.plugin_files import PluginSource
from harness.core.text import shorten
from harness.data.sources.base import open_source
from harness.execution.ray.probe import Probe
from harness.jobs.context import JobContext

ANSWER_S = 300.0
"""How long all nodes together may take; a large image folder on a slow disk is listed for minutes."""


@dataclass(frozen=True)
class Expected:
    """What a node must have.

    Attributes:
        versions: of Python, Ray and the harness, as here.
        source: the suite's image source; empty: no suite is looked at.
        class_ids: the suite's classes in label order.
        data_root: folder that contains the image folders.
        data: fingerprint of the images.
        plugins: texts of plugins, which may bring the source's kind.
        probe: where in the store nodes write; None: no store is looked at.
    """

    versions: dict[str, str]
    source: dict[str, Any] = field(default_factory=dict)
    class_ids: tuple[str, ...] = ()
    data_root: str = ""
    data: str = ""
    plugins: tuple[PluginSource, ...] = ()
    probe: Probe | None = None


@dataclass(frozen=True)
class NodeReport:
    """What one node answered.

    Attributes:
        node: Ray's id.
        host: name of the machine.
        versions: of Python, Ray and the harness; empty where it gave no answer.
        problems: what it lacks and what to do, by "versions", "data", "store" and "answer".
    """

    node: str
    host: str
    versions: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def expected_of(context: JobContext) -> Expected:
    """Return what the nodes of a run must have."""
    return Expected(
        versions(),
        context.source,
        tuple(c.id for c in context.classes),
        context.data_root,
        context.data_fingerprint,
        context.plugins,
        Probe(context.store_uri, uuid.uuid4().hex),
    )


def versions() -> dict[str, str]:
    """Return the versions that must be equal on all machines."""
    import ray

    return {"Python": platform.python_version(), "Ray": ray.__version__, "harness": code_version()}


def look(expected: Expected, node: str) -> NodeReport:
    """Compare this machine with what is expected; runs on a node."""
    found, problems = versions(), {}
    wrong = [name for name, version in found.items() if version != expected.versions[name]]
    if wrong:
        told = ", ".join(f"{name} {found[name]} (here {expected.versions[name]})" for name in wrong)
        problems["versions"] = f"has {told}; install the same versions (or the same checkout) there"
    if expected.source and (problem := _data_problem(expected)):
        problems["data"] = problem
    if expected.probe is not None and (problem := expected.probe.write(node)):
        problems["store"] = problem
    return NodeReport(node, platform.node(), found, problems)


def _data_problem(expected: Expected) -> str:
    """Return what is wrong with the images of this machine; empty where they are those of the plan."""
    try:
        for plugin in expected.plugins:
            discovery.load_plugin_source(plugin)
        found = open_source(expected.source, expected.class_ids, Path(expected.data_root)).fingerprint()
    except Exception as error:  # whatever keeps the images from being read
        return f"the suite's images cannot be read below {expected.data_root}: {shorten(f'{type(error).__name__}: {error}', 300)}"
    if found == expected.data:
        return ""
    return (
        f"has different images below {expected.data_root} than this machine (fingerprint {found[:8]}, here "
        f"{expected.data[:8]}); copy them again, or use one shared folder on all machines"
    )


def look_at_nodes(ray: Any, rows: Iterable[Mapping[str, Any]], expected: Expected) -> list[NodeReport]:
    """Let nodes look at themselves, all at the same time, and return their reports in the order given.

    Args:
        ray: the connected module.
        rows: of `ray.nodes()`.
        expected: what they must have.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    with _probing(expected.probe):
        task = ray.remote(num_cpus=0, max_retries=1)(look)
        asked = {}
        for row in rows:
            there = NodeAffinitySchedulingStrategy(row["NodeID"], soft=False)
            asked[row["NodeID"]] = (row, task.options(scheduling_strategy=there).remote(expected, row["NodeID"]))
        ray.wait([answer for _, answer in asked.values()], num_returns=len(asked), timeout=ANSWER_S)
        return _with_unseen([_report(ray, row, answer) for row, answer in asked.values()], expected.probe)


@contextlib.contextmanager
def _probing(probe: Probe | None) -> Iterator[None]:
    """Open the place in the store where nodes write, and leave nothing of it."""
    if probe is None:
        yield
        return
    probe.open()
    try:
        yield
    finally:
        probe.close()


def _report(ray: Any, row: Mapping[str, Any], answer: Any) -> NodeReport:
    """Return what a node answered, or why it did not."""
    from ray.exceptions import GetTimeoutError

    try:
        report: NodeReport = ray.get(answer, timeout=0)
        return report
    except GetTimeoutError:
        ray.cancel(answer, force=True)
        problem = f"did not answer within {ANSWER_S:g} s; the node or its disks may be overloaded"
    except Exception as error:  # such as: it has no harness
        cause = getattr(error, "cause", None) or error
        told = shorten(f"{type(cause).__name__}: {cause}", 300)
        problem = f"cannot run the harness ({told}); install the same versions (or the same checkout) there"
    return NodeReport(row["NodeID"], row.get("NodeManagerHostname", ""), problems={"answer": problem})


def _with_unseen(reports: list[NodeReport], probe: Probe | None) -> list[NodeReport]:
    """Return the reports with what this machine does not see of the files that the nodes wrote."""
    if probe is None:
        return reports
    wrote = {report.node for report in reports if not report.problems.keys() & {"store", "answer"}}
    unseen = probe.unseen(wrote)
    problem = (
        f"this machine does not see the files that it writes to the store {probe.uri}; use one shared folder on all "
        "machines"
    )
    return [replace(r, problems={**r.problems, "store": problem}) if r.node in unseen else r for r in reports]


def check_nodes(ray: Any, rows: Iterable[Mapping[str, Any]], expected: Expected) -> None:
    """Make sure that all nodes can run the jobs as this machine would.

    Raises:
        UserError: names each node that lacks something. A node that was lost meanwhile is not among them.
    """
    reports = look_at_nodes(ray, rows, expected)
    alive = {row["NodeID"] for row in ray.nodes() if row["Alive"]}
    failing = [report for report in reports if report.problems and report.node in alive]
    if failing:
        lines = [
            f"  {report.host} (node {report.node[:8]}): {problem}."
            for report in failing
            for problem in report.problems.values()
        ]
        head = f"{len(failing)} of {len(reports)} nodes cannot run these jobs; nothing was started."
        raise UserError("\n".join([head, *lines, "`harness doctor --ray-address ...` checks all nodes again."]))
