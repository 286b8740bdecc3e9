"""Whether the head of the cluster still answers, and what nodes it has: asked now and then, and never when it is gone.

In: Ray. Out: nodes by id, or an error for people. A call of Ray's to a head that does not answer waits for forty seconds, so
its port is tried first.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Any

from harness.execution.executor import ExecutorLost
from harness.execution.ray.losses import Node, read_nodes

ASK_S = 1.0
"""Seconds between two looks."""

ANSWER_S = 5.0
"""Seconds in which the head answers a question."""

SETTLE_S = 0.5
"""Seconds between a loss and the look at what else is gone."""

PATIENCE_S = 30.0
"""Seconds without an answer after which the cluster counts as gone; the variable HARNESS_HEAD_TIMEOUT_S says otherwise."""


class Head:
    """The head of the cluster that this process belongs to.

    Args:
        ray: the module, connected.
        name: the cluster's name for people, such as "the cluster at head:6379".

    Attributes:
        is_lost: it has not answered for too long.
    """

    def __init__(self, ray: Any, name: str) -> None:
        self.name = name
        self.patience_s = float(os.environ.get("HARNESS_HEAD_TIMEOUT_S") or PATIENCE_S)
        self._ray = ray
        context = ray.get_runtime_context()
        host, _, port = context.gcs_address.rpartition(":")
        self._head = (host.strip("[]"), int(port))
        self._here = context.get_node_id()
        self._asking: threading.Thread | None = None
        self.is_lost = False
        self._answered = self._looked = time.monotonic()
        self.nodes: dict[str, Node] = {}
        self.table: list[dict[str, Any]] = []
        self.look()

    def look(self) -> None:
        """Read the nodes anew; they stay as they were where nobody answers."""
        self._looked = time.monotonic()
        table = self._ask() if self._listens() else None
        if table is None:
            return
        nodes = read_nodes(table)
        if self._here in nodes and nodes[self._here].alive:  # else another head has taken the address
            self.table, self.nodes = table, nodes
            self._answered = time.monotonic()

    def check(self) -> None:
        """Look if it is time.

        Raises:
            ExecutorLost: the cluster has not answered for too long.
        """
        if time.monotonic() - self._looked < ASK_S:
            return
        self.look()
        silent = time.monotonic() - self._answered
        if silent > self.patience_s:
            self.is_lost = True
            raise ExecutorLost(
                f"{self.name} is lost: its head has not answered for {silent:.0f} s. Finished jobs are kept; run the "
                "same command again to resume, on any cluster."
            )

    def look_after_loss(self) -> None:
        """Read the nodes anew, a moment after something was lost: the head may be dying too, and would not answer Ray."""
        if time.monotonic() - self._looked > SETTLE_S:
            time.sleep(SETTLE_S)
            self.look()

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `ray.nodes()`, at most a second old where the head answers."""
        if time.monotonic() - self._looked >= ASK_S:
            self.look()
        return self.table

    def _ask(self) -> list[dict[str, Any]] | None:
        """Return `ray.nodes()`; None where no answer comes in time: of a head that dies meanwhile, Ray waits for ever."""
        found: list[list[dict[str, Any]]] = []

        def ask() -> None:
            with contextlib.suppress(Exception):  # whatever Ray raises for a head that has just gone
                found.append(self._ray.nodes())

        if self._asking is not None and self._asking.is_alive():
            return None
        self._asking = threading.Thread(target=ask, name="ray-nodes", daemon=True)
        self._asking.start()
        self._asking.join(timeout=ANSWER_S)
        return found[0] if found else None

    def _listens(self) -> bool:
        try:
            with socket.create_connection(self._head, timeout=2.0):
                return True
        except OSError:
            return False
