"""Where the jobs of a request compute: a question to the machines that will run them, asked before planning."""

from __future__ import annotations

from harness.execution.ray.join import cluster_device
from harness.planning.request import RunRequest
from harness.planning.resolve_data import local_device


def choose_device(request: RunRequest) -> str:
    """Return "cpu" or "cuda", as the machines have it that will run the jobs: a cluster's, or this one.

    Raises:
        UserError: the cluster cannot be joined, or there is no such device.
    """
    if request.ray_address is None:
        return local_device(request.device)
    return cluster_device(request.ray_address, request.device, may_grow=request.wait_for_nodes > 0)
