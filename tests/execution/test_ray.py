"""What the Ray executor hands out, and what it refuses, with a made-up cluster in place of Ray."""

import os
import signal
import socket
import sys
import time
from types import SimpleNamespace

import pytest
from ray.exceptions import TaskCancelledError

from harness.core.config.suite import Resources
from harness.core.errors import UserError
from harness.core.store import Store
from harness.execution.executor import ExecutorLost, Stage
from harness.execution.ray import board
from harness.execution.ray import cluster as cluster_module
from harness.execution.ray.board import BoardView
from harness.execution.ray.capacity import fits
from harness.execution.ray.executor import RayExecutor, own_handlers
from harness.jobs.execute import Outcome, Where
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


class Later:
    """A Ray whose calls are answered when the test says so: references are lists that become full."""

    def __init__(self):
        self.asked = []
        self.snapshot = SimpleNamespace(remote=self._ask)
        self.put = SimpleNamespace(remote=lambda key, stage: self.asked.append((key, stage)))

    def _ask(self):
        self.asked.append([])
        return self.asked[-1]

    def wait(self, references, timeout):
        return [r for r in references if r], []

    def get(self, reference):
        if isinstance(reference[0], Exception):
            raise reference[0]
        return reference[0]


def stage(pid):
    return Stage("fit", 1, 2, "step", Where("alpha", "a", pid, "cpu", 0.0), 0.0)


def test_reading_the_board_never_waits_and_a_dead_worker_is_taken_from_it(monkeypatch):
    monkeypatch.setattr(board, "READ_S", -1.0)
    ray = Later()
    view = BoardView(ray, ray)
    assert view.stages() == {}
    assert len(ray.asked) == 1
    assert view.stages() == {}
    assert len(ray.asked) == 1, "it still waits for the first answer"
    ray.asked[0].append({"k": stage(7)})
    assert view.stages() == {"k": stage(7)}
    assert view.where("k").pid == 7

    view.forget("k")
    assert ("k", None) in ray.asked
    view.stages()
    ray.asked[-1].append({"k": stage(7)})
    assert view.stages() == {}, "that of the dead worker was on its way"
    assert view.where("k") is None
    view.stages()
    ray.asked[-1].append({"k": stage(8)})
    assert view.stages() == {"k": stage(8)}

    view.stages()
    ray.asked[-1].append(RuntimeError("the board is lost"))
    assert view.stages() == {}
    assert view.where("k").pid == 8, "where it runs is remembered"


class Head:
    """As much of Ray as tells whether the head answers."""

    def __init__(self, port):
        context = SimpleNamespace(gcs_address=f"127.0.0.1:{port}", get_node_id=lambda: "here")
        self.get_runtime_context = lambda: context
        self.table = [{"NodeID": "here", "NodeManagerHostname": "alpha", "Alive": True, "Resources": {}}]

    def nodes(self):
        return self.table


def test_a_head_that_answers_no_more_is_one_message(monkeypatch):
    monkeypatch.setattr(cluster_module, "ASK_S", -1.0)
    monkeypatch.setenv("HARNESS_HEAD_TIMEOUT_S", "0.2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = Head(server.getsockname()[1])
        cluster = cluster_module.Cluster(head, "the cluster at x")
        time.sleep(0.3)
        cluster.check()
        assert cluster.nodes["here"].alive
    cluster.check()
    time.sleep(0.3)
    with pytest.raises(ExecutorLost, match=r"the cluster at x is gone: .* the same command goes on"):
        cluster.check()
    assert cluster.nodes["here"].alive, "as it was known last"


def test_another_head_at_the_same_address_is_not_ours(monkeypatch):
    monkeypatch.setattr(cluster_module, "ASK_S", -1.0)
    monkeypatch.setenv("HARNESS_HEAD_TIMEOUT_S", "0.2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = Head(server.getsockname()[1])
        cluster = cluster_module.Cluster(head, "the cluster at x")
        head.table = [{**head.table[0], "NodeID": "another"}]
        time.sleep(0.3)
        with pytest.raises(ExecutorLost):
            cluster.check()


def test_a_job_that_was_lost_asks_for_another_free_node_and_else_for_any():
    executor = executor_on(NODE)
    assert executor._elsewhere(job("k"), {"num_cpus": 1}) == {"num_cpus": 1}
    executor._lost_on["k"] = {"b", "a"}
    asked = executor._elsewhere(job("k"), {"num_cpus": 1, "label_selector": {"ray.io/accelerator-type": "H100"}})
    assert asked["label_selector"] == {"ray.io/accelerator-type": "H100", "ray.io/node-id": "!in(a, b)"}
    assert asked["fallback_strategy"] == [{"label_selector": {"ray.io/accelerator-type": "H100"}}]


def test_a_job_that_no_node_holds_any_more_is_named():
    executor = executor_on(NODE, device="cpu")
    executor._cluster = SimpleNamespace(table=[{"Alive": True, "Resources": {"CPU": 2.0, "memory": 64.0 * GB}}])
    executor._running = {1: job("small", cpus=1), 2: job("large", cpus=4)}
    assert executor.waits_for() == (
        "train large waits: no node of the cluster can hold it (1 node left); the run goes on when one comes that can"
    )
    executor._compared = 0.0
    executor._cluster.table.append({"Alive": True, "Resources": NODE})
    assert executor.waits_for() == ""


class Cancelling(Cluster):
    """A Ray that ends a task when it is cancelled, unless it had ended before."""

    def __init__(self, *nodes, ended=None):
        super().__init__(*nodes)
        self.ended = ended

    def cancel(self, reference, force):
        assert force

    def get(self, reference, timeout=None):
        if self.ended is not None:
            return self.ended
        raise TaskCancelledError


@pytest.mark.parametrize("ended", [None, Outcome("k")])
def test_a_job_that_is_cancelled_is_lost_for_the_reason_given_unless_it_ended_before(ended, tmp_path):
    executor = executor_on(NODE)
    executor._ray = Cancelling(NODE, ended=ended)
    executor.context = SimpleNamespace(store=Store(tmp_path))
    executor._running["task"] = job("k")
    assert executor.cancel("k", "no sign of life for 10 minutes")
    assert not executor.cancel("another", "no reason")
    (outcome,) = executor.wait(0.0)
    assert (outcome.lost, outcome.error) == ((False, "") if ended else (True, "no sign of life for 10 minutes"))


def test_a_sigterm_while_ray_starts_is_seen_by_our_own_handler():
    """Ray's handler, which is there until it has started, ends the process with the number as exit code."""
    seen = []

    @own_handlers()
    def start():
        signal.signal(signal.SIGTERM, lambda *at: sys.exit(at[0]))
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda *at: seen.append(at))
    try:
        with pytest.raises(SystemExit):
            start()
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(seen) == 2
