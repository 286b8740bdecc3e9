"""What fits the nodes of a cluster, counted without Ray."""

from dataclasses import replace

import pytest

from harness.core.config.suite import Resources
from harness.core.errors import UserError
from harness.core.executors import ExecutorOptions
from harness.execution.executor import Stage
from harness.execution.ray import cluster as cluster_module
from harness.execution.ray.capacity import ACCELERATOR, Capacity, Needs, check_fit, needs, task_options
from harness.execution.ray.cluster import Cluster
from harness.jobs.execute import Where
from harness.jobs.job import Job

GB = 10**9


def row(node="a", alive=True, model="", **resources):
    """A row of `ray.nodes()`."""
    has = {"CPU": 64.0, "GPU": 1.0, "memory": 256.0 * GB} | resources
    labels = {"ray.io/node-id": node} | ({ACCELERATOR: model} if model else {})
    return {"NodeID": node, "Alive": alive, "NodeManagerHostname": f"host-{node}", "Resources": has, "Labels": labels}


class FakeRay:
    """As much of Ray as is asked for nodes."""

    def __init__(self, *rows):
        self.rows = list(rows)

    def nodes(self):
        return self.rows


def job(key="a", runs_on_driver=False, **resources):
    return Job(key, "train", f"train {key}", {}, {}, Resources(**resources), runs_on_driver)


def handed_out(rows, jobs, device="cuda", **options):
    """Return how many of the jobs are handed out before the first one ends."""
    cluster = Cluster(FakeRay(*rows), device, ExecutorOptions(**options))
    for number, one in enumerate(jobs):
        if not cluster.has_room(one):
            return number
        cluster.place(one)
    return len(jobs)


@pytest.mark.parametrize(("gpus", "number"), [(1, 1), (0.25, 4), (0.3, 3), (0.1, 10)])
def test_no_more_jobs_are_handed_out_than_the_gpus_hold(gpus, number):
    assert handed_out([row()], [job(str(n), cpus=1, gpus=gpus) for n in range(64)]) == number


def test_a_share_of_a_gpu_lies_on_one_gpu():
    """Three GPUs hold 0.6 three times, not five times."""
    assert handed_out([row(GPU=3.0)], [job(str(n), gpus=0.6) for n in range(9)]) == 3


def test_shares_leave_whole_gpus_to_jobs_that_want_one():
    jobs = [job("a", gpus=0.5), job("b", gpus=0.5), job("c", gpus=1)]
    assert handed_out([row(GPU=2.0)], jobs) == 3


def test_a_job_fits_one_node_not_the_free_halves_of_two():
    half = [job("a", cpus=2), job("b", cpus=3), job("c", cpus=3)]
    assert handed_out([row("a", CPU=4.0), row("b", CPU=4.0)], half, device="cpu") == 2


def test_no_more_jobs_are_handed_out_than_cpus_and_memory_hold():
    assert handed_out([row()], [job(str(n), cpus=4) for n in range(64)], device="cpu") == 16
    large = [job(str(n), cpus=1, memory_gb=100) for n in range(64)]
    assert handed_out([row("a"), row("b")], large, device="cpu") == 4


def test_a_job_for_a_model_of_gpu_waits_for_such_a_node():
    rows = [row("a", model="A100"), row("b", model="H100")]
    assert handed_out(rows, [job(str(n), gpus=0.5, accelerator="H100") for n in range(9)]) == 2


def test_only_jobs_on_gpus_ask_for_gpus_and_their_model():
    wanted = job(gpus=0.25, accelerator="H100", cpus=2, memory_gb=3)
    assert needs(wanted, "cpu") == Needs(2, 0, 3 * GB)
    assert task_options(wanted, "cpu") == {"num_cpus": 2, "num_gpus": 0, "memory": 3 * GB}
    assert task_options(wanted, "cuda") == {
        "num_cpus": 2, "num_gpus": 0.25, "memory": 3 * GB, "label_selector": {"ray.io/accelerator-type": "H100"},
    }  # fmt: skip


def test_where_a_cluster_grows_some_jobs_wait_inside_ray_so_that_it_does():
    """An autoscaler adds nodes for what waits; as many may wait as run."""
    jobs = [job(str(n)) for n in range(64)]
    assert handed_out([row(CPU=4.0)], jobs, device="cpu") == 4
    assert handed_out([row(CPU=4.0)], jobs, device="cpu", wait_for_nodes=60) == 8


def test_a_job_is_counted_where_its_worker_says_that_it_is():
    capacity, half = Capacity(), Needs(2, 0, 0)
    capacity.refresh([row("a", CPU=4.0), row("b", CPU=4.0)])
    for key in "xy":
        capacity.place(key, half)
    assert capacity.has_room(Needs(4, 0, 0))  # counted on one node
    capacity.move("y", "b")
    assert not capacity.has_room(Needs(4, 0, 0))
    capacity.release("y")
    capacity.release("x")
    assert capacity.has_room(Needs(4, 0, 0))


def test_nodes_come_and_go():
    capacity = Capacity()
    capacity.refresh([row("a", CPU=1.0)])
    capacity.place("x", Needs(1, 0, 0))
    assert not capacity.has_room(Needs(1, 0, 0))
    capacity.refresh([row("a", CPU=1.0), row("b", CPU=1.0)])
    assert capacity.has_room(Needs(1, 0, 0))
    capacity.refresh([row("a", CPU=1.0, alive=False), row("b", CPU=1.0)])
    assert not capacity.has_room(Needs(1, 0, 0))  # what ran on the lost node runs again
    capacity.refresh([row("b", CPU=1.0, alive=False)])
    assert capacity.num_waiting == 1
    capacity.refresh([row("c", CPU=1.0)])
    assert (capacity.num_waiting, capacity.num_placed) == (0, 1)


def test_the_nodes_are_asked_for_at_most_once_a_second(monkeypatch):
    ray, asked = FakeRay(row()), []
    monkeypatch.setattr(ray, "nodes", lambda: asked.append(1) or ray.rows)
    cluster = Cluster(ray, "cpu", ExecutorOptions())
    jobs = [job(str(n)) for n in range(20_000)]
    for one in jobs:
        cluster.has_room(one)
    assert len(asked) <= 3


def test_only_jobs_that_will_run_must_fit_a_node():
    rows = [row("a", CPU=2.0, GPU=0.0, memory=8.0 * GB), row("b", CPU=1.0, GPU=0.0, memory=9.0 * GB)]
    small, large = job("small"), job("large", cpus=64)
    assert check_fit([small, job("on this machine", runs_on_driver=True, cpus=64)], rows, "cpu") is None
    told = str(check_fit([small, large, job("larger", cpus=65)], rows, "cpu"))
    assert "'train large' asks for 64 CPUs, 0 GPUs and 1.0 GB" in told
    assert "2 nodes; the closest, host-a, has 2 CPUs, 0 GPUs and 8.0 GB); 1 more job cannot start" in told
    assert "results in the store that used another number will be computed again" in told


def test_a_model_of_gpu_that_no_node_has_is_named_with_those_that_there_are():
    rows = [row("a", model="A100"), row("b", model="H100"), row("c")]
    told = str(check_fit([job(accelerator="B300")], rows, "cuda"))
    assert "asks for 1 CPUs, 1 GPUs of model B300" in told
    assert "no node of this Ray has that GPU model (3 nodes; models of GPUs: A100, H100)" in told


def test_a_run_may_wait_for_a_node_and_says_so(monkeypatch):
    ray, said, grown = FakeRay(row(CPU=0.0)), [], []

    def later(seconds):
        ray.rows.append(row("new", CPU=4.0))

    monkeypatch.setattr(cluster_module.time, "sleep", later)
    monkeypatch.setattr("ray.autoscaler.sdk.request_resources", lambda **asked: grown.append(asked))
    cluster = Cluster(ray, "cpu", ExecutorOptions(wait_for_nodes=60, say=said.append))
    cluster.admit([job(cpus=4)])
    assert len(said) == 1
    assert said[0].startswith("waiting up to 60 s for such a node: job 'train a' asks for 4 CPUs")
    assert grown[0]["bundles"] == [{"CPU": 4, "GPU": 0, "memory": GB}]
    cluster.leave()
    assert grown[-1] == {"bundles": []}


def test_a_run_does_not_wait_for_a_node_unless_told():
    with pytest.raises(UserError, match="wait for such a node with --wait-for-nodes"):
        Cluster(FakeRay(row(CPU=0.0)), "cpu", ExecutorOptions()).admit([job()])


def test_a_job_whose_only_node_was_lost_is_told(monkeypatch):
    monkeypatch.setattr(cluster_module, "ASK_AGAIN_S", 0.0)
    ray = FakeRay(row("a", CPU=4.0), row("b", CPU=1.0))
    cluster = Cluster(ray, "cpu", ExecutorOptions())
    large = job(cpus=4)
    cluster.place(large)
    assert cluster.stuck([large]) == ""
    ray.rows[0] = row("a", CPU=4.0, alive=False)
    assert cluster.stuck([job("small"), large]).startswith("job 'train a' asks for 4 CPUs")


def test_workers_reports_move_their_jobs():
    cluster = Cluster(FakeRay(row("a", CPU=4.0), row("b", CPU=4.0)), "cpu", ExecutorOptions())
    small = [job(key, cpus=2) for key in "xy"]
    for one in small:
        cluster.place(one)
    stage = Stage("training", 0, 1, "epoch", Where("host-b", "b", 1, "cpu", 0.0))
    cluster.follow({"y": stage, "x": replace(stage, where=None), "unknown": stage})
    assert not cluster.has_room(job("z", cpus=4))
