"""A Ray cluster of several nodes on this machine, whose nodes and head can be killed; nothing of it outlives a test."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MARK = "HARNESS_TEST_CLUSTER"
"""Variable that every process of a cluster inherits, its workers too: so they are found, and no others."""


class Raylets:
    """Use as a context manager: a head without CPUs, and the nodes that `add` starts.

    Args:
        **env: further variables of its processes.
    """

    def __init__(self, **env: str) -> None:
        self.port = _free_port()
        self.env = env
        self.mark = uuid.uuid4().hex
        self._cluster: Any = None

    def __enter__(self) -> Raylets:
        self.start()
        return self

    def start(self) -> None:
        """Start the head, again after `kill`."""
        from ray.cluster_utils import Cluster

        with self._environment():
            head = {"num_cpus": 0, "gcs_server_port": self.port, "include_dashboard": False}
            self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address

    def add(self, num_cpus: int) -> Any:
        """Start a node and return it."""
        with self._environment():
            return self._cluster.add_node(num_cpus=num_cpus)

    def remove(self, node: Any) -> None:
        """Kill a node without grace."""
        self._cluster.remove_node(node, allow_graceful=False)

    def processes(self) -> dict[int, str]:
        """Return the command lines of all processes of the cluster, by pid."""
        return dict(marked(self.mark))

    def kill(self) -> None:
        """Kill all processes at once, as a power failure does."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def __exit__(self, *exc: object) -> None:
        before = signal.getsignal(signal.SIGTERM)
        try:
            with contextlib.suppress(Exception):
                self._cluster.shutdown()
        finally:
            self.kill()
            signal.signal(signal.SIGTERM, before)
        assert gone(self.mark), f"processes are left: {self.processes()}"

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        """Let what is started inside be found again; Ray takes the handler of SIGTERM, which is given back."""
        handler = signal.getsignal(signal.SIGTERM)
        added = {MARK: self.mark, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", **self.env}
        before = {name: os.environ.get(name) for name in added}
        os.environ.update(added)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, handler)
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def marked(mark: str) -> Iterator[tuple[int, str]]:
    """Yield (pid, command line) of the living processes that inherited a mark, this one left out."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if command:  # else it has ended and waits for its parent
                    yield int(folder.name), command


def gone(mark: str, within_s: float = 30.0) -> bool:
    """Return whether all processes with a mark end in time."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if not list(marked(mark)):
            return True
        time.sleep(0.1)
    return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
