"""The cluster as the executor sees it: may these jobs run here, and is there room for one more now?"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.core.errors import UserError
from harness.core.executors import ExecutorOptions
from harness.execution.executor import Stage
from harness.execution.ray import capacity
from harness.execution.ray.capacity import Capacity, Needs, Node
from harness.execution.ray.nodes import check_nodes, expected_of
from harness.jobs.context import JobContext
from harness.jobs.job import Job

ASK_AGAIN_S = 1.0
"""How often Ray is asked for its nodes."""


class Cluster:
    """The nodes that this process is connected to.

    Args:
        ray: the connected module.
        device: "cpu" or "cuda", where jobs compute.
        options: how long to wait for nodes, and whom to tell.
        rows: returns what `ray.nodes()` does; None: that itself.
    """

    def __init__(
        self, ray: Any, device: str, options: ExecutorOptions, rows: Callable[[], list[dict[str, Any]]] | None = None
    ) -> None:
        self._ray, self._device, self._options = ray, device, options
        self._read_rows = rows or ray.nodes
        self._capacity = Capacity()
        self._rows: list[dict[str, Any]] = []
        self._asked = float("-inf")
        self._grown = False
        self._told: set[str] = set()

    def admit(self, jobs: list[Job]) -> None:
        """Make sure that each job fits a node: such a task would wait inside Ray for ever.

        Raises:
            UserError: names the first, and the node that comes nearest.
        """
        patience = self._options.wait_for_nodes
        end = time.monotonic() + patience
        while problem := capacity.check_fit(jobs, self._read_rows(), self._device):
            if time.monotonic() >= end:
                raise UserError(str(problem))
            self._say(f"waiting up to {patience:g} s for such a node: {problem.why}")
            self._grow(jobs)
            time.sleep(ASK_AGAIN_S)

    def _grow(self, jobs: list[Job]) -> None:
        """Ask the autoscaler, where there is one, for a node for each kind of demand."""
        from ray.autoscaler.sdk import request_resources

        if self._grown:
            return
        self._grown = True
        asked = self._demands(jobs)
        bundles = [{"CPU": one.cpus, "GPU": one.gpus, "memory": one.memory} for one in asked]
        selectors = [{capacity.ACCELERATOR: one.accelerator} if one.accelerator else {} for one in asked]
        request_resources(bundles=bundles, bundle_label_selectors=selectors)

    def check(self, jobs: list[Job], context: JobContext) -> None:
        """Look at each node that can run one of the jobs.

        Raises:
            UserError: names those that lack something.
        """
        demands = self._demands(jobs)
        rows = [row for row in self._read_rows() if row["Alive"] and any(map(Node.read(row).fits, demands))]
        if rows:
            check_nodes(self._ray, rows, expected_of(context))

    def _demands(self, jobs: Iterable[Job]) -> set[Needs]:
        return {capacity.needs(job, self._device) for job in jobs if not job.runs_on_driver}

    def has_room(self, job: Job) -> bool:
        """Return whether a job fits a node beside those of this run; Ray is asked for its nodes at most once a second.

        A job that waits inside Ray cannot be put behind another. Only where the cluster grows some wait there, at most as
        many as run: an autoscaler adds nodes for what waits.
        """
        self._refresh()
        if self._capacity.has_room(capacity.needs(job, self._device)):
            return True
        return self._options.wait_for_nodes > 0 and self._capacity.num_waiting < max(1, self._capacity.num_placed)

    def num_gpus(self) -> int:
        """Return the GPUs of all nodes."""
        self._refresh()
        return sum(len(Node.read(row).gpus) for row in self._rows if row["Alive"])

    def place(self, job: Job) -> None:
        """Count a job that was handed to Ray."""
        self._refresh()
        self._capacity.place(job.key, capacity.needs(job, self._device))

    def stuck(self, jobs: Iterable[Job]) -> str:
        """Return why the first of these jobs cannot begin on any node that is left; empty where each can."""
        self._refresh()
        problem = capacity.check_fit(jobs, self._rows, self._device)
        return problem.why if problem else ""

    def _refresh(self) -> None:
        if time.monotonic() - self._asked >= ASK_AGAIN_S:
            self._rows = self._read_rows()
            self._asked = time.monotonic()
            self._capacity.refresh(self._rows)

    def _say(self, line: str) -> None:
        """Tell people, once."""
        if line not in self._told:
            self._told.add(line)
            self._options.say(line)

    def release(self, key: str) -> None:
        """Count a job no longer."""
        self._capacity.release(key)

    def follow(self, stages: Mapping[str, Stage]) -> None:
        """Count jobs where their workers say that they are."""
        for key, stage in stages.items():
            if stage.where is not None:
                self._capacity.move(key, stage.where.node)

    def leave(self) -> None:
        """Take back what was asked of the autoscaler."""
        if self._grown:
            from ray.autoscaler.sdk import request_resources

            with contextlib.suppress(Exception):  # the cluster may be gone
                request_resources(bundles=[])
