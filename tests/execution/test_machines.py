"""What executors say of the machines that jobs may run on."""

import platform
from types import SimpleNamespace

from harness.execution.local import LocalExecutor
from harness.execution.ray.capacity import Node


def test_a_node_of_ray_is_a_machine():
    node = {"NodeManagerHostname": "gpu1", "NodeID": "ab12", "Resources": {"CPU": 16.0, "GPU": 2.0, "memory": 1e9}}
    found = Node.read(node).machine()
    assert (found.host, found.node, found.cpus, found.gpus) == ("gpu1", "ab12", 16.0, 2.0)
    assert Node.read(node | {"Resources": {}}).machine().gpus == 0.0


def test_the_local_executor_has_this_machine():
    for device, gpus in (("cpu", 0.0), ("cuda", 1.0)):
        [found] = LocalExecutor(SimpleNamespace(device=device)).machines()
        assert (found.host, found.gpus) == (platform.node(), gpus)
        assert found.cpus >= 1
