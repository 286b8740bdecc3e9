"""docs/cluster.md: what it tells people to type is understood by Ray, by bash and by the harness."""

import os
import re
import shlex
import subprocess

import pytest
import yaml

from tests.docs.test_docs import DOCS, blocks
from tests.helpers.clusters import cluster

PAGE = DOCS / "cluster.md"

LINES = [line.split(" #")[0].strip() for block in blocks(PAGE, "bash") for line in block.splitlines()]


def lines(first_words):
    found = [shlex.split(line)[len(first_words.split()) :] for line in LINES if line.startswith(first_words)]
    assert found, f"the page shows no `{first_words}`"
    return found


def without(words, option):
    """The words less an option and its value."""
    place = words.index(option)
    return words[:place] + words[place + 2 :]


@pytest.fixture(scope="module")
def address():
    with cluster(head={"num_cpus": 1}) as place:
        yield place


@pytest.mark.slow
def test_its_commands_are_understood_on_a_cluster(address, cli, tmp_path, monkeypatch):
    """`auto` is then the cluster of the environment, as in a job that was handed to Ray."""
    monkeypatch.setenv("RAY_ADDRESS", address)
    commands = [*lines("harness doctor"), *lines("harness run")]
    for words in commands:
        words[words.index("--store") + 1] = str(tmp_path / "results")
        name = "run" if "--methods" in words else "doctor"
        code, out, err = cli(name, *words, *(["--dry-run"] if name == "run" else []))
        assert code == 0, err
        assert out
    assert not (tmp_path / "results").exists()


def test_ray_knows_the_options_that_it_gets():
    """Its own parser reads them; the place of a value is filled in."""
    from ray.dashboard.modules.job.cli import submit
    from ray.scripts.scripts import get_auth_token, start

    for words in lines("ray start"):
        start.make_context("start", words)
    for words in lines("ray get-auth-token"):
        get_auth_token.make_context("get-auth-token", words[: words.index(">")])
    (words,) = lines("ray job submit")
    assert submit.make_context("submit", words).params["entrypoint"][:2] == ("harness", "run")
    for code in re.findall(r"`(ray start\s[^`]+)`", PAGE.read_text()):
        start.make_context("start", [word.replace("...", "7001") for word in code.split()[2:]])


def planned(cli, tmp_path, words):
    """Plan the `harness run` of a recipe on this machine, without its cluster; the device is that of this machine."""
    for option in ("--ray-address", "--wait-for-nodes", "--device"):
        if option in words:
            words = without(words, option)
    for option in ("--store", "--data-root"):
        words[words.index(option) + 1] = str(tmp_path)
    code, out, err = cli("run", *words, "--methods", "random_real", "--dry-run")
    assert code == 0, err
    assert "Dry run" in out


def test_the_command_of_handing_over_is_planned(cli, tmp_path):
    (words,) = lines("ray job submit")
    entry = words[words.index("run") + 1 :]
    planned(cli, tmp_path, [*entry, "--data-root", "data"])


STUB = """#!/bin/bash
case $(basename "$0") in
scontrol) printf 'one\\ntwo\\n' ;;
srun)
    while [[ $1 == --* ]]; do shift; done
    if [[ $1 == hostname ]]; then echo '192.0.2.7 fe80::1'; else printf '%s\\n' "$@"; env | grep ^RAY_; fi ;;
esac
"""


def test_the_slurm_file_starts_ray_and_the_command(tmp_path, cli):
    """With srun and scontrol replaced: each task gets one `ray symmetric-run`, which Ray's own parser accepts."""
    from ray.scripts.symmetric_run import curate_and_validate_ray_start_args, symmetric_run

    for name in ("srun", "scontrol"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    given = {
        "SLURM_JOB_NODELIST": "one,two",
        "SLURM_JOB_ID": "81234",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_GPUS_ON_NODE": "4",
    }
    env = {**os.environ, **given, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    (words,) = lines("sbatch")
    assert words[0] == "docs/cluster/slurm.sh"
    told = subprocess.run(["bash", DOCS / "cluster" / "slurm.sh", *words[1:]], env=env, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    out = told.stdout.splitlines()
    variables = {line.partition("=")[0] for line in out if line.startswith("RAY_")}
    assert variables >= {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT"}
    assert out[:2] == ["ray", "symmetric-run"]
    started, entry = (
        out[2 : out.index("--")],
        [line for line in out[out.index("--") + 1 :] if not line.startswith("RAY_")],
    )
    assert started[:4] == ["--address", "192.0.2.7:21234", "--min-nodes", "2"]
    assert curate_and_validate_ray_start_args(started) == ["--num-cpus=1", "--num-gpus=4"]
    assert symmetric_run.name == "symmetric_run"
    assert entry[:4] == ["harness", "run", "--ray-address", "192.0.2.7:21234"]
    planned(cli, tmp_path, entry[2:])


def test_the_file_for_kubernetes_has_what_a_ray_job_needs(cli, tmp_path):
    """Fields as KubeRay's ray.io/v1 RayJob has them; the containers are those of Kubernetes pods."""
    import ray

    job = yaml.safe_load((DOCS / "cluster" / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert set(spec) == {
        "entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec"
    }  # fmt: skip
    ray_cluster = spec["rayClusterSpec"]
    assert set(ray_cluster) == {"rayVersion", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs"}
    assert ray_cluster["rayVersion"] == ray.__version__
    (workers,) = ray_cluster["workerGroupSpecs"]
    head = ray_cluster["headGroupSpec"]
    assert set(head) == {"rayStartParams", "template"}
    assert set(workers) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert head["rayStartParams"] == {"num-cpus": "0"}  # texts, not numbers
    images = set()
    for group in (head, workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        images.add(container["image"])
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
        assert [m["mountPath"] for m in container["volumeMounts"]] == ["/shared"]
    assert len(images) == 1
    words = shlex.split(spec["entrypoint"])
    assert words[:2] == ["harness", "run"]
    assert words[words.index("--device") + 1] == "cuda"  # no worker is there when the run is planned
    planned(cli, tmp_path, words[2:])
