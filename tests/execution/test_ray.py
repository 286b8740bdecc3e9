"""What the Ray executor hands out, and what it refuses, with a made-up cluster in place of Ray."""

from types import SimpleNamespace

import pytest

from harness.core.config.suite import Resources
from harness.core.errors import UserError
from harness.execution.ray.board import BoardView
from harness.execution.ray.capacity import fits
from harness.execution.ray.executor import RayExecutor
from harness.jobs.job import Job

GB = 10**9
NODE = {"CPU": 64.0, "GPU": 1.0, "memory": 256.0 * GB}


class Cluster:
    """As much of Ray as the executor asks for resources and the board."""

    def __init__(self, *nodes):
        self._nodes = nodes
        self.stopped = False

    def nodes(self):
        return [{"Alive": True, "Resources": node} for node in self._nodes]

    def cluster_resources(self):
        return {name: sum(node.get(name, 0) for node in self._nodes) for name in ("CPU", "GPU", "memory")}

    def shutdown(self):
        self.stopped = True

    def wait(self, references, num_returns=1, timeout=None):
        return references, []

    def get(self, reference, timeout=None):
        raise RuntimeError("ActorUnavailableError: the node of the board is gone")


def executor_on(*nodes, device="cuda"):
    executor = RayExecutor(SimpleNamespace(device=device))
    executor._ray = Cluster(*nodes)
    return executor


def job(key, runs_on_driver=False, **resources):
    return Job(key, "train", f"train {key}", {}, {}, Resources(**resources), runs_on_driver)


def handed_out(executor, jobs):
    """Return how many of the jobs are handed out before the first one ends."""
    for number, one in enumerate(jobs):
        if not executor.has_room(one):
            return number
        executor._running[one.key] = one
    return len(jobs)


@pytest.mark.parametrize(("gpus", "number"), [(1, 1), (0.25, 4), (0.3, 3), (0.1, 10)])
def test_no_more_jobs_are_handed_out_than_the_gpus_hold(gpus, number):
    jobs = [job(str(n), cpus=1, gpus=gpus) for n in range(64)]
    assert handed_out(executor_on(NODE), jobs) == number


def test_no_more_jobs_are_handed_out_than_cpus_and_memory_hold():
    assert handed_out(executor_on(NODE, device="cpu"), [job(str(n), cpus=4) for n in range(64)]) == 16
    large = [job(str(n), cpus=1, memory_gb=100) for n in range(64)]
    assert handed_out(executor_on(NODE, NODE, device="cpu"), large) == 5


def test_jobs_that_ask_for_different_things_are_added_up():
    free = {"CPU": 8.0, "GPU": 1.0, "memory": 8.0}
    assert fits(free, [{"CPU": 1, "GPU": 0.5, "memory": 1}], {"CPU": 7, "GPU": 0.5, "memory": 7})
    assert not fits(free, [{"CPU": 1, "GPU": 0.5, "memory": 1}], {"CPU": 1, "GPU": 1, "memory": 1})


def test_a_job_is_handed_out_when_nothing_runs_whatever_is_counted():
    """A cluster that is still growing says that it has less than it will."""
    assert executor_on({"CPU": 1.0}).has_room(job("a", cpus=64))


def test_only_jobs_that_will_run_must_fit_the_cluster():
    executor = executor_on({"CPU": 2.0, "memory": 8.0 * GB}, device="cpu")
    executor.check_fit([job("small", cpus=1), job("on this machine", runs_on_driver=True, cpus=64)])
    with pytest.raises(UserError, match="'train large' asks for 64 CPUs") as error:
        executor.check_fit([job("small", cpus=1), job("large", cpus=64)])
    assert "what is in the store was made with the old number and will be made again" in str(error.value)


def test_a_lost_board_ends_no_run():
    executor = executor_on(NODE)
    executor._seen = BoardView(executor._ray, SimpleNamespace(snapshot=SimpleNamespace(remote=lambda: None)))
    assert executor.stages() == {}
