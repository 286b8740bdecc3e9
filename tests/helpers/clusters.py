"""Small Ray clusters on this machine: real raylets, in a process of their own, so that a test's own Ray is not touched.

with cluster({"num_cpus": 2}, {"num_cpus": 1}) as address: ...
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

SMALL: dict[str, Any] = {"object_store_memory": 80 * 2**20, "include_dashboard": False}

OPEN = {"RAY_AUTH_MODE": "disabled"}
"""Environment of a cluster that asks for no token, whatever this machine's user has."""


@contextlib.contextmanager
def cluster(*nodes: dict[str, Any], head: dict[str, Any] | None = None, env: dict[str, str] = OPEN) -> Iterator[str]:
    """Start a head and further nodes and yield the address; no process and no folder is left.

    Args:
        nodes: arguments of `ray.cluster_utils.Cluster.add_node`: num_cpus, num_gpus, labels, env_vars, ...
        head: those of the head; None: it has no CPU.
        env: variables of all processes of the cluster.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    wanted = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": path, **env}
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        asked = json.dumps([folder, {"num_cpus": 0, **SMALL, **(head or {})}, [{**SMALL, **node} for node in nodes]])
        command = [sys.executable, "-m", "tests.helpers.clusters", asked]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, env=wanted, text=True, cwd=ROOT, stderr=subprocess.DEVNULL, **pipes) as process:
            address = process.stdout.readline().strip()
            assert address, "the cluster did not start"
            try:
                yield address
            finally:
                process.stdin.close()
                process.wait(60)


def _main(folder: str, head: dict[str, Any], nodes: list[dict[str, Any]]) -> None:
    """Hold a cluster until standard input ends."""
    import ray._private.utils as ray_utils
    from ray.cluster_utils import Cluster

    ray_utils.write_ray_address = lambda *args: None  # what `auto` means stays what it was
    held = Cluster(initialize_head=True, head_node_args={"temp_dir": folder, **head})
    try:
        for node in nodes:
            held.add_node(wait=False, **node)
        held.wait_for_nodes()
        print(held.address, flush=True)
        sys.stdin.read()
    finally:
        held.shutdown()


if __name__ == "__main__":
    _main(*json.loads(sys.argv[1]))
