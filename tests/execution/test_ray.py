"""What the Ray executor does when parts of Ray fail, without a cluster."""

import os
import signal
import socket
import sys
import time
from types import SimpleNamespace

import pytest
from ray.exceptions import TaskCancelledError

from harness.core.config.suite import Resources
from harness.core.executors import ExecutorOptions
from harness.core.store import Store
from harness.execution.executor import ExecutorLost, Stage
from harness.execution.ray import board
from harness.execution.ray import cluster as cluster_module
from harness.execution.ray import head as head_module
from harness.execution.ray.board import BoardView
from harness.execution.ray.cluster import Cluster
from harness.execution.ray.executor import RayExecutor, own_handlers
from harness.jobs.execute import Outcome, Where
from harness.jobs.job import Job

GB = 10**9


def row(node, cpus):
    """A row of `ray.nodes()`."""
    has = {"CPU": cpus, "memory": 64.0 * GB}
    return {"NodeID": node, "NodeManagerHostname": f"host-{node}", "Alive": True, "Resources": has, "Labels": {}}


def job(key, **resources):
    return Job(key, "train", f"train {key}", {}, {}, Resources(**resources))


class Nodes:
    """As much of Ray and of its head as tells the nodes, and whether a task was ended."""

    def __init__(self, *rows, ended=None):
        self.table, self.ended, self.nodes = list(rows), ended, {}

    def rows(self):
        return self.table

    def look(self):
        pass

    check = look_after_loss = look

    def wait(self, references, num_returns=1, timeout=None):
        return references, []

    def cancel(self, reference, force):
        assert force

    def get(self, reference, timeout=None):
        if self.ended is not None:
            return self.ended
        raise TaskCancelledError


def executor_on(nodes):
    executor = RayExecutor(SimpleNamespace(device="cpu"))
    executor._ray = executor._head = nodes
    executor._cluster = Cluster(nodes, "cpu", ExecutorOptions(), nodes.rows)
    return executor


class LostBoard:
    """A Ray whose board cannot be reached."""

    def wait(self, references, num_returns=1, timeout=None):
        return references, []

    def get(self, reference, timeout=None):
        raise RuntimeError("ActorUnavailableError: the node of the board is lost")


def test_a_job_is_handed_out_when_nothing_runs_whatever_is_counted():
    """A cluster that is still growing says that it has less than it will."""
    assert RayExecutor(SimpleNamespace(device="cpu")).has_room(SimpleNamespace(runs_on_driver=False))


def test_a_lost_board_ends_no_run():
    executor = RayExecutor(SimpleNamespace(device="cpu"))
    ray = LostBoard()
    executor._seen = BoardView(ray, SimpleNamespace(snapshot=SimpleNamespace(remote=lambda: None)))
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
    monkeypatch.setattr(head_module, "ASK_S", -1.0)
    monkeypatch.setenv("HARNESS_HEAD_TIMEOUT_S", "0.2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = Head(server.getsockname()[1])
        cluster = head_module.Head(head, "the cluster at x")
        time.sleep(0.3)
        cluster.check()
        assert cluster.nodes["here"].alive
    cluster.check()
    time.sleep(0.3)
    with pytest.raises(ExecutorLost, match=r"the cluster at x is lost: .* same command again to resume"):
        cluster.check()
    assert cluster.nodes["here"].alive, "as it was known last"


def test_another_head_at_the_same_address_is_not_ours(monkeypatch):
    monkeypatch.setattr(head_module, "ASK_S", -1.0)
    monkeypatch.setenv("HARNESS_HEAD_TIMEOUT_S", "0.2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = Head(server.getsockname()[1])
        cluster = head_module.Head(head, "the cluster at x")
        head.table = [{**head.table[0], "NodeID": "another"}]
        time.sleep(0.3)
        with pytest.raises(ExecutorLost):
            cluster.check()


def test_a_job_that_was_lost_asks_for_another_free_node_and_else_for_any():
    executor = executor_on(Nodes())
    assert executor._elsewhere(job("k"), {"num_cpus": 1}) == {"num_cpus": 1}
    executor._lost_on["k"] = {"b", "a"}
    asked = executor._elsewhere(job("k"), {"num_cpus": 1, "label_selector": {"ray.io/accelerator-type": "H100"}})
    assert asked["label_selector"] == {"ray.io/accelerator-type": "H100", "ray.io/node-id": "!in(a, b)"}
    assert asked["fallback_strategy"] == [{"label_selector": {"ray.io/accelerator-type": "H100"}}]


def test_a_job_that_no_node_holds_any_more_is_named(monkeypatch):
    monkeypatch.setattr(cluster_module, "ASK_AGAIN_S", 0.0)
    nodes = Nodes(row("a", 2.0))
    executor = executor_on(nodes)
    executor._running = {1: [job("small", cpus=1)], 2: [job("large", cpus=4)]}
    assert executor.waits_for() == (
        "job 'train large' asks for 4 CPUs, 0 GPUs and 1.0 GB; no node of this Ray is large enough (1 nodes; the closest, "
        "host-a, has 2 CPUs, 0 GPUs and 64.0 GB); the run continues when such a node joins"
    )
    executor._compared = 0.0
    nodes.table.append(row("b", 64.0))
    assert executor.waits_for() == ""


@pytest.mark.parametrize("ended", [None, [Outcome("k")]])
def test_a_job_that_is_cancelled_is_lost_for_the_reason_given_unless_it_ended_before(ended, tmp_path):
    executor = executor_on(Nodes(row("a", 4.0), ended=ended))
    executor.context = SimpleNamespace(store=Store(tmp_path), device="cpu")
    executor._running["task"] = [job("k")]
    executor._cluster.place(job("k"))
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
