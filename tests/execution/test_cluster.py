"""Runs on a cluster of three real raylets: a head without CPUs, a node with a stated GPU, a node with other code."""

import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from harness.core.config.suite import Resources
from harness.core.errors import UserError
from harness.core.executors import ExecutorOptions
from harness.execution.ray import nodes
from harness.execution.ray.executor import RayExecutor
from harness.execution.ray.join import cluster_device, join, joined
from harness.execution.ray.nodes import expected_of, look_at_nodes
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from tests.helpers.clusters import ROOT, cluster
from tests.helpers.support import tiny_suite_values

pytestmark = pytest.mark.slow


A100 = {"ray.io/accelerator-type": "A100"}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the cluster is. A node's own code comes first on its path, as on a machine with another checkout."""
    other = tmp_path_factory.mktemp("other")
    for package in ("harness", "methods", "datasets"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "harness" / "core" / "text.py").open("a") as file:
        file.write("# another line\n")
    gpu = {"num_cpus": 6, "num_gpus": 1, "labels": A100}
    with cluster(gpu, {"num_cpus": 8, "env_vars": {"PYTHONPATH": str(other)}}) as place:
        yield place


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    """Ray gives workers the folder that a command is started in: here it must not be that of the code."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def context(tiny_suite, tmp_path):
    return resolve(
        make_request(suite=str(tiny_suite), methods=["random_real"], store=tmp_path / "store"), "cuda"
    ).context


def quarter(key):
    return Job(key, "train", f"train {key}", {}, {}, Resources(cpus=1, gpus=0.25))


def test_four_trainings_share_a_gpu(address, context, tmp_path):
    """Each task waits for the other three: they end only if all four run at once, with a quarter of the GPU each."""
    jobs = [quarter(str(number)) for number in range(5)]
    executor = RayExecutor(context, ExecutorOptions(ray_address=address))
    executor.start(jobs)
    ray, together = executor._ray, str(tmp_path)

    def meet(jobs, context, board):
        import pathlib

        import ray

        (job,) = jobs
        folder, end = pathlib.Path(together), time.time() + 120
        (folder / f"{job.key}.here").touch()
        while len(list(folder.glob("*.here"))) < 4 and time.time() < end:
            time.sleep(0.05)
        held = ray.get_runtime_context().get_assigned_resources()["GPU"]
        log = f"{held} of {[int(i) for i in ray.get_gpu_ids()]}, {len(list(folder.glob('*.here')))} at once"
        return [Outcome(job.key, log=log)]

    executor._task = ray.remote(meet)
    handed = []
    while executor.has_room(jobs[len(handed)]):
        executor.submit(jobs[len(handed)])
        handed.append(jobs[len(handed)])
    outcomes = []
    while len(outcomes) < len(handed):
        outcomes += executor.wait(60)
    executor.stop()
    assert len(handed) == 4
    assert {outcome.log for outcome in outcomes} == {"0.25 of [0], 4 at once"}


def test_auto_takes_the_device_that_the_cluster_has(address, tiny_suite, cli, monkeypatch):
    assert cluster_device(address, "auto") == "cuda"
    assert cluster_device(address, "cpu") == "cpu"
    wanted = ("--suite", tiny_suite, "--methods", "random_real", "--ipc", "1")
    code, out, err = cli("run", *wanted, "--ray-address", address, "--dry-run")
    assert code == 0, err
    assert "on a GPU of the cluster" in out
    assert "no such device on this machine for a trial" in out


def refused(cli, tmp_path, *args):
    """Run a command that must be refused with one message, and return that; nothing is written."""
    store = tmp_path / "results"
    code, _, err = cli("run", "--methods", "random_real", "--ipc", "1", "--store", store, *args)
    assert code == 2
    assert err.count("error:") == 1
    assert "Traceback" not in err
    assert not store.exists()
    return err


def test_a_model_of_gpu_that_no_node_has_is_refused(address, tmp_path, cli):
    import yaml

    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump({**tiny_suite_values(), "resources": {"train": {"accelerator": "H100"}}}))
    told = refused(cli, tmp_path, "--suite", suite, "--ray-address", address, "--wait-for-nodes", "1")
    assert "waiting up to 1 s for such a node: job 'train random_real" in told
    assert "asks for 1 CPUs, 1 GPUs of model H100 and 1.0 GB" in told
    assert "no node of this Ray has that GPU model (3 nodes; models of GPUs: A100)" in told


def test_a_node_with_other_code_is_refused_by_name(address, tiny_suite, tmp_path, cli):
    told = refused(cli, tmp_path, "--suite", tiny_suite, "--ray-address", address, "--device", "cpu")
    assert "1 of 2 nodes cannot run these jobs; nothing was started." in told
    assert "has harness 0.1.0 (" in told
    assert "install the same versions (or the same checkout) there" in told


def test_doctor_prints_a_row_for_each_node(address, tmp_path, cli):
    code, out, _ = cli("doctor", "--ray-address", address, "--suite", "digits", "--store", tmp_path / "results")
    assert code == 1  # one node has other code
    rows = [line.split() for line in out.splitlines() if line.startswith(("ok", "--"))]
    assert [row[0] for row in rows].count("ok") == 2
    gpu = next(row for row in rows if "A100" in row)
    assert gpu[3:6] == ["6", "1", "A100"]
    assert gpu[-2:] == ["same", "shared"]
    assert "has harness 0.1.0 (" in out
    assert not (tmp_path / "results").exists()
    assert not list(tmp_path.glob(".probe*"))


def test_what_a_node_lacks_is_named(address, context, monkeypatch):
    """Other images, a store that it cannot write: the node says so itself; nobody waits for a node that is gone."""
    (context.store.root / "store").mkdir(parents=True)
    with joined(address) as ray:
        rows = [row for row in ray.nodes() if row["Resources"].get("GPU")]
        fine = expected_of(context)
        (report,) = look_at_nodes(ray, rows, fine)
        assert report.problems == {}
        (report,) = look_at_nodes(ray, rows, replace(fine, data="0" * 64, versions={**fine.versions, "Ray": "2.49.0"}))
        assert "has different images below" in report.problems["data"]
        assert "has Ray 2.60.0 (here 2.49.0)" in report.problems["versions"]
        (report,) = look_at_nodes(ray, rows, replace(fine, source={"kind": "image_folder", "root": "nowhere"}))
        assert "the suite's images cannot be read below" in report.problems["data"]
        (report,) = look_at_nodes(ray, [{**rows[0], "NodeID": "0" * 56}], fine)
        assert "answer" in report.problems
        monkeypatch.setattr(nodes, "ANSWER_S", 0.0)
        (report,) = look_at_nodes(ray, rows, fine)
        assert report.problems["answer"].startswith("did not answer within 0 s")
    assert not list(context.store.root.glob(".probe*"))


SET_RAY_VERSION = """
import json, sys
from ray._raylet import GcsClient
head, key, where = GcsClient(address=sys.argv[1]), b"CLUSTER_METADATA", {"namespace": b"cluster"}
about = json.loads(head.internal_kv_get(key, **where))
head.internal_kv_put(key, json.dumps({**about, "ray_version": sys.argv[2]}).encode(), True, **where)
"""
"""In a process of its own: Ray ends a process that holds such a client when the head is gone."""


def test_another_version_of_ray_is_one_message(address):
    def claim(version):
        subprocess.run([sys.executable, "-c", SET_RAY_VERSION, address, version], check=True)

    claim("2.49.0")
    try:
        with pytest.raises(
            UserError, match=r"runs Ray 2\.49\.0 with Python 3\.\d+\.\d+, but this command uses Ray 2\.60\.0"
        ):
            join(address, None)
    finally:
        claim("2.60.0")
