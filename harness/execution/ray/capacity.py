"""What jobs ask of Ray, and the room that the nodes of a cluster have for them: CPUs, GPUs and memory of each node.

In: jobs, and nodes as Ray lists them. Out: options of a task; whether a job fits some node now, or could ever. Where a task
runs is Ray's choice: until its worker says where it is, a job is counted on the first node that it fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.core.run_status import Machine
from harness.core.text import times
from harness.jobs.job import Job

GB = 10**9

ACCELERATOR = "ray.io/accelerator-type"
"""Ray's label of the model of a node's GPUs."""

_SLACK = 1e-6


@dataclass(frozen=True)
class Needs:
    """What a job holds of a node while it runs.

    Attributes:
        cpus: CPUs.
        gpus: GPUs: a share of one, or a whole number.
        memory: bytes.
        accelerator: the model that its node must have; empty: any.
    """

    cpus: float
    gpus: float
    memory: float
    accelerator: str = ""

    def __str__(self) -> str:
        model = f" of model {self.accelerator}" if self.accelerator else ""
        return f"{self.cpus:g} CPUs, {self.gpus:g} GPUs{model} and {self.memory / GB:.1f} GB"


def needs(job: Job, device: str) -> Needs:
    """Return what a job holds; GPUs, and their model, only where jobs compute on GPUs."""
    asked = job.resources
    on_gpu = device.startswith("cuda")
    gpus, model = (asked.gpus or 1, asked.accelerator or "") if on_gpu else (0, "")
    return Needs(asked.cpus, gpus, int(asked.memory_gb * GB), model)


def task_options(job: Job, device: str) -> dict[str, Any]:
    """Return what a job asks Ray for."""
    asked = needs(job, device)
    options = {"num_cpus": asked.cpus, "num_gpus": asked.gpus, "memory": asked.memory}
    return options | ({"label_selector": {ACCELERATOR: asked.accelerator}} if asked.accelerator else {})


@dataclass
class Node:
    """A machine of the cluster.

    Attributes:
        id: Ray's.
        host: name of the machine.
        cpus: free CPUs.
        gpus: the free share of each GPU.
        memory: free bytes.
        accelerator: model of the GPUs; empty where Ray knows none.
    """

    id: str
    host: str
    cpus: float
    gpus: list[float]
    memory: float
    accelerator: str = ""
    _gpus_of: dict[str, dict[int, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Node:
        """Return a node, empty, from a row of `ray.nodes()`."""
        has, labels = row["Resources"], row.get("Labels") or {}
        gpus = [1.0] * int(has.get("GPU", 0))
        host = row.get("NodeManagerHostname", "")
        return cls(row["NodeID"], host, has.get("CPU", 0), gpus, has.get("memory", 0), labels.get(ACCELERATOR, ""))

    def machine(self) -> Machine:
        """Return what it offers to jobs while it is empty."""
        return Machine(host=self.host, node=self.id, cpus=float(self.cpus), gpus=float(len(self.gpus)))

    def __str__(self) -> str:
        model = f" ({self.accelerator})" if self.accelerator else ""
        return f"{self.cpus:g} CPUs, {len(self.gpus)} GPUs{model} and {self.memory / GB:.1f} GB"

    def fits(self, asked: Needs) -> bool:
        """Return whether a job fits beside those that hold a part of the node."""
        return (
            asked.cpus <= self.cpus + _SLACK
            and asked.memory <= self.memory + _SLACK
            and asked.accelerator in ("", self.accelerator)
            and self._choose(asked.gpus) is not None
        )

    def take(self, key: str, asked: Needs) -> None:
        """Give a part of the node to a job, also where it does not fit: Ray has put it there."""
        chosen = self._choose(asked.gpus) or {}
        for index, share in chosen.items():
            self.gpus[index] -= share
        self._gpus_of[key] = chosen
        self.cpus -= asked.cpus
        self.memory -= asked.memory

    def give(self, key: str, asked: Needs) -> None:
        """Take back what a job held."""
        for index, share in self._gpus_of.pop(key).items():
            self.gpus[index] += share
        self.cpus += asked.cpus
        self.memory += asked.memory

    def _choose(self, amount: float) -> dict[int, float] | None:
        """Return the share of each GPU that a job gets; None: no room. A share goes where least is left, as in Ray."""
        if amount < 1:
            fitting = [(free, i) for i, free in enumerate(self.gpus) if amount <= free + _SLACK]
            return {} if amount == 0 else {min(fitting)[1]: amount} if fitting else None
        whole = [i for i, free in enumerate(self.gpus) if free >= 1 - _SLACK]
        return dict.fromkeys(whole[: int(amount)], 1.0) if len(whole) >= amount else None


class Capacity:
    """The nodes of a cluster and what the jobs of this run hold of them. Other users' jobs are not counted."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._held: dict[str, tuple[Needs, str]] = {}

    def refresh(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Follow nodes that came or went.

        Args:
            rows: of `ray.nodes()`.
        """
        alive = {row["NodeID"]: row for row in rows if row["Alive"]}
        if alive.keys() == self._nodes.keys():
            return
        for gone in self._nodes.keys() - alive.keys():
            del self._nodes[gone]
        for new, row in alive.items():
            self._nodes.setdefault(new, Node.read(row))
        for key, (asked, node) in list(self._held.items()):
            if node not in self._nodes:
                self.place(key, asked)

    def has_room(self, asked: Needs) -> bool:
        """Return whether a job fits a node now."""
        return any(node.fits(asked) for node in self._nodes.values())

    @property
    def num_placed(self) -> int:
        """Jobs that are counted on a node."""
        return len(self._held) - self.num_waiting

    @property
    def num_waiting(self) -> int:
        """Jobs that wait inside Ray."""
        return sum(not node for _, node in self._held.values())

    def place(self, key: str, asked: Needs) -> None:
        """Count a job that was handed to Ray, on the first node that it fits; on none where it waits inside Ray."""
        node = next((node for node in self._nodes.values() if node.fits(asked)), None)
        if node is not None:
            node.take(key, asked)
        self._held[key] = (asked, node.id if node else "")

    def move(self, key: str, node: str) -> None:
        """Count a job where its worker says that it is."""
        if key not in self._held or node not in self._nodes:
            return
        asked, before = self._held[key]
        if before != node:
            if before in self._nodes:
                self._nodes[before].give(key, asked)
            self._nodes[node].take(key, asked)
            self._held[key] = (asked, node)

    def release(self, key: str) -> None:
        """Count a job no longer; one that waited inside Ray may have its place."""
        asked, node = self._held.pop(key)
        if node in self._nodes:
            self._nodes[node].give(key, asked)
        for other, (wanted, placed) in list(self._held.items()):
            if not placed:
                self.place(other, wanted)


@dataclass(frozen=True)
class Misfit:
    """A job that no node can hold.

    Attributes:
        why: what it asks for, and what the nodes have.
        cure: what to do.
    """

    why: str
    cure: str

    def __str__(self) -> str:
        return f"{self.why}. {self.cure}"


def check_fit(jobs: Iterable[Job], rows: Iterable[Mapping[str, Any]], device: str) -> Misfit | None:
    """Return the first job among these that can never start on any of the nodes; None where all can.

    Args:
        jobs: those that will run.
        rows: of `ray.nodes()`.
        device: "cpu" or "cuda".
    """
    nodes = [Node.read(row) for row in rows if row["Alive"]]
    wanted = [(job, needs(job, device)) for job in jobs if not job.runs_on_driver]
    possible = {asked: any(node.fits(asked) for node in nodes) for asked in {asked for _, asked in wanted}}
    too_large = [(job, asked) for job, asked in wanted if not possible[asked]]
    if not too_large:
        return None
    job, asked = too_large[0]
    others = f"; {times(len(too_large) - 1, 'more job')} cannot start" if len(too_large) > 1 else ""
    return Misfit(f"job {job.title!r} asks for {asked}; {_best(asked, nodes)}{others}", _cure(job, asked, nodes))


def _best(asked: Needs, nodes: list[Node]) -> str:
    """Say what the nodes have in place of what is asked for."""
    if not nodes:
        return "this Ray has no node"
    if asked.accelerator and not any(node.accelerator == asked.accelerator for node in nodes):
        models = sorted({node.accelerator for node in nodes if node.accelerator})
        return (
            f"no node of this Ray has that GPU model ({len(nodes)} nodes; models of GPUs: "
            f"{', '.join(models) or 'none'})"
        )
    nearest = max(nodes, key=lambda node: _share(asked, node))
    return f"no node of this Ray is large enough ({len(nodes)} nodes; the closest, {nearest.host}, has {nearest})"


def _share(asked: Needs, node: Node) -> tuple[bool, float, float]:
    """Return how near a node comes to what a job asks for: of its scarcest resource, then of CPUs."""
    pairs = ((asked.cpus, node.cpus), (asked.gpus, len(node.gpus)), (asked.memory, node.memory))
    scarcest = min(min(1.0, has / wants) for wants, has in pairs if wants)
    return asked.accelerator in ("", node.accelerator), scarcest, node.cpus


def _cure(job: Job, asked: Needs, nodes: list[Node]) -> str:
    """Say what to do."""
    join = "Use a cluster that has such a node with --ray-address, wait for such a node with --wait-for-nodes SECONDS"
    if asked.accelerator and not any(node.accelerator == asked.accelerator for node in nodes):
        return f"{join}, or change `accelerator` of {job.kind} in the suite's `resources`; this does not change keys."
    return (
        f"{join}, or lower `resources` of {job.kind} in the suite. The number of CPUs is part of a job's key: results "
        "in the store that used another number will be computed again."
    )
