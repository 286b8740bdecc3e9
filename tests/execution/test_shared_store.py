"""One store, several machines: raylets whose temporary folders differ share a folder, and a bucket.

Slow: a cluster, and two runs of a tiny plan on it.
"""

import time

import pytest

from tests.execution.test_endurance import assert_whole, comparable
from tests.helpers.clusters import OPEN, cluster
from tests.helpers.s3_server import S3Server
from tests.helpers.started import finish, start

pytestmark = [pytest.mark.slow, pytest.mark.drill]

PLAN = ("--methods", "random_real", "--ipc", "1,2")


@pytest.fixture(scope="module")
def bucket():
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def raylets(bucket, tmp_path_factory):
    """The address of two nodes of one CPU, each with a temporary folder of its own, and those folders."""
    folders = [tmp_path_factory.mktemp(f"machine{number}") for number in range(2)]
    environments = [{"TMPDIR": str(folder), **bucket.environment} for folder in folders]
    with cluster(*({"num_cpus": 1, "env_vars": env} for env in environments)) as address:
        yield address, folders


@pytest.fixture(scope="module")
def alone(tiny_suite, tmp_path_factory):
    """The records of the plan, made by one process."""
    store = tmp_path_factory.mktemp("alone")
    run(tiny_suite, store, store / "log", "--executor", "local")
    return comparable("r", store)


def run(suite, store, log, *options, env=None):
    process = start(log, "run", "--suite", suite, *PLAN, "--store", store, "--name", "r", *options, env=env or {})
    assert finish(process) == 0, log.read_text()


def test_a_folder_that_all_share(tiny_suite, raylets, alone, tmp_path):
    address, _ = raylets
    run(tiny_suite, tmp_path / "store", tmp_path / "log", "--ray-address", address, env=OPEN)
    assert comparable("r", tmp_path / "store").equals(alone)
    assert_whole(tmp_path / "store")


def test_a_bucket_of_which_each_machine_copies_what_it_reads(tiny_suite, raylets, bucket, alone, tmp_path, monkeypatch):
    address, folders = raylets
    uri = bucket.make_bucket(f"shared{time.time_ns()}")  # a name of its own: this machine keeps copies of remote runs
    environment = {**OPEN, **bucket.environment, "TMPDIR": str(tmp_path)}
    run(tiny_suite, uri, tmp_path / "log", "--ray-address", address, env=environment)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    assert comparable("r", uri).equals(alone)
    copies = [set(folder.rglob("manifest.json")) for folder in folders]
    assert all(copies), "each machine worked"
    assert not list(tmp_path.rglob("store/train/*/manifest.json")), "the driver copies no training"
