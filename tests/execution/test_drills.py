"""Faults of a cluster, with real raylets: nodes, workers, drivers and heads are killed, and the records stay the same.

Slow: each test starts a cluster and processes that train.
"""

import json
import os
import platform
import re
import signal
import time

import pandas as pd
import pytest
import yaml

import harness
from tests.execution.test_endurance import assert_whole, comparable
from tests.helpers.raylets import Raylets, gone
from tests.helpers.started import end_all, finish, start
from tests.helpers.support import harness_process, tiny_suite_values

pytestmark = [pytest.mark.slow, pytest.mark.drill]

STEPS = 30

PLUGIN = """
import os
import time
from pathlib import Path

import torch
from harness import DistilledSet, Method, register_method, register_student


def allowed(what):
    # How much of the fit, or whether a training, may be done: as the test says to the workers of its cluster.
    file = Path(os.environ["DRILL"]) / what if "DRILL" in os.environ else None
    return 1000 if file is None else int(file.read_text() or 0) if file.exists() else 0


@register_method("steps")
class Steps(Method):
    title = "Steps"

    def fit(self, task):
        state = task.checkpoint.load() or {"step": 0}
        for step in range(int(state["step"]), STEPS):
            while step >= allowed("fit"):
                time.sleep(0.02)
            if "DRILL" in os.environ:
                with open(os.environ["DRILL"] + "/notes", "a") as file:
                    print(step, os.getpid(), file=file)
            time.sleep(0.01)
            task.checkpoint.save({"step": step + 1})
        return {"sum": torch.ones(1)}

    def synthesize(self, task, state, ipc):
        size = (ipc, 3, task.image_size, task.image_size)
        return DistilledSet({c.id: torch.rand(size, generator=task.rng(c.id)) for c in task.classes})


class Flat(torch.nn.Module):
    def __init__(self, num_classes, side):
        super().__init__()
        self.last = torch.nn.Linear(3 * side * side, num_classes)

    def features(self, images):
        return images.flatten(1)

    def forward(self, images):
        return self.last(self.features(images))


@register_student("flat")
def build(spec, num_classes, image_size):
    while not allowed("train"):
        time.sleep(0.02)
    return Flat(num_classes, image_size)
"""


class Plan:
    """A plan of a fit whose steps are noted, and of four trainings; both wait until the test lets them go on."""

    def __init__(self, folder):
        self.folder, self.plugin, self.suite = folder, folder / "steps.py", folder / "drill.yaml"
        self.plugin.write_text(PLUGIN.replace("STEPS", str(STEPS)))
        values = tiny_suite_values()
        values["budget"] = {"ipc": [1], "training_seeds": [0, 1, 2, 3]}
        values["students"] = ["flat"]
        self.suite.write_text(yaml.safe_dump(values, sort_keys=False))
        self.log = folder / "log"
        self.env = {"DRILL": str(folder)}

    def start(self, store, *options):
        words = ("run", "--suite", self.suite, "--plugin", self.plugin, "--ipc", "1", "--methods", "steps")
        return start(self.log, *words, "--store", store, *options, env={"HARNESS_HEAD_TIMEOUT_S": "3"})

    def allow(self, what, number):
        """Let the fit do so many steps, or trainings go on."""
        (self.folder / what).write_text(str(number))

    def steps(self):
        """The steps of the fit in the order in which they were done, with the process of each."""
        notes = self.folder / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [tuple(map(int, line.split())) for line in lines]

    def fit_until(self, step, process):
        """Let the fit go on and return when it waits before that step, the earlier ones in a checkpoint."""
        self.allow("fit", step)
        wait_for(lambda: self.steps() and self.steps()[-1][0] == step - 1, process, self.log)
        time.sleep(0.5)

    def done(self):
        """Titles of the jobs that were done, each time."""
        return re.findall(r" done: ([^:\n]+?)(?:, about .*)?$", self.log.read_text(), re.M)


def wait_for(condition, process, log, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert process is None or process.exitcode is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def training_now(store):
    """Temporary folders of the trainings that have begun and not ended."""
    return list((store / "store" / "train").glob(".*"))


def assert_nothing_twice(plan, store):
    """No job is done twice, and no step of the fit: each is in the checkpoint that the next worker began with."""
    assert sorted(plan.done()) == sorted(set(plan.done()))
    assert [step for step, _ in plan.steps()] == list(range(STEPS))
    (fit,) = (json.loads(path.read_text()) for path in (store / "store" / "fit").glob("*/manifest.json"))
    assert 0 < fit["measured"]["resumed_s"] < fit["measured"]["wall_s"]


@pytest.fixture(autouse=True)
def _nothing_goes_on():
    yield
    end_all()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Records of a quiet run of the plan in one process."""
    plan = Plan(tmp_path_factory.mktemp("quiet"))
    store = plan.log.parent / "store"
    process = plan.start(store, "--executor", "local", "--name", "quiet")
    assert finish(process) == 0, plan.log.read_text()
    return comparable("quiet", store)


def test_a_node_that_is_lost_costs_only_the_work_since_the_last_checkpoint(undisturbed, tmp_path):
    """One goes in the middle of a fit; another, the only one that is left, in the middle of four trainings."""
    plan, store = Plan(tmp_path), tmp_path / "s"
    with Raylets(**plan.env) as cluster:
        first = cluster.add(num_cpus=4)
        process = plan.start(store, "--ray-address", cluster.address, "--name", "r")
        plan.fit_until(10, process)
        second = cluster.add(num_cpus=4)
        cluster.remove(first)
        assert_no_worker_goes_on(plan, cluster)
        plan.allow("fit", STEPS)
        wait_for(lambda: len(training_now(store)) == 4, process, plan.log)
        cluster.remove(second)
        wait_for(lambda: "the run continues when such a node joins" in plan.log.read_text(), process, plan.log)
        plan.allow("train", 1)
        cluster.add(num_cpus=4)
        assert finish(process) == 0, plan.log.read_text()
    assert "continuing" in plan.log.read_text()
    pd.testing.assert_frame_equal(comparable("r", store), undisturbed)
    losses = json.loads((store / "runs" / "r" / "run.json").read_text())["losses"]
    assert [loss["job"].split()[0] for loss in losses] == ["fit", *["train"] * 4]
    assert all("left the cluster" in loss["reason"] for loss in losses), losses
    rows = harness.load_results("r", store)
    assert (set(rows["attempts"]), set(rows["host"])) == ({3}, {platform.node()})
    assert (rows["lost_s"] > rows["distill_lost_s"]).all()
    assert_nothing_twice(plan, store)
    assert_whole(store)


def test_a_fit_goes_on_after_the_end_of_its_driver_and_of_its_cluster(undisturbed, tmp_path):
    """The same command, four times: it is told to stop, killed, loses its cluster, ends."""
    plan, store = Plan(tmp_path), tmp_path / "s"
    plan.allow("train", 1)
    with Raylets(**plan.env) as cluster:
        cluster.add(num_cpus=4)
        shared = ("--ray-address", cluster.address)
        process = plan.start(store, *shared, "--name", "told")
        plan.fit_until(8, process)
        os.kill(process.pid, signal.SIGTERM)
        assert finish(process) == 143, plan.log.read_text()
        assert_no_worker_goes_on(plan, cluster)

        process = plan.start(store, *shared, "--name", "killed")
        plan.fit_until(16, process)
        process.kill()
        process.join()
        assert_no_worker_goes_on(plan, cluster)

        process = plan.start(store, *shared, "--name", "headless")
        plan.fit_until(24, process)
        cluster.kill()
        assert finish(process) == 2, plan.log.read_text()
        assert gone(cluster.mark)
        plan.allow("fit", STEPS)
        cluster.start()
        cluster.add(num_cpus=4)
        process = plan.start(store, "--ray-address", cluster.address, "--name", "last")
        assert finish(process) == 0, plan.log.read_text()
    text = plan.log.read_text()
    assert f"the cluster at {shared[1]} is lost" in text
    assert "Traceback" not in text
    assert "SIGTERM" not in text, "no dump of Ray's"
    for name, status in (("told", "interrupted"), ("killed", "running"), ("headless", "interrupted"), ("last", "done")):
        assert json.loads((store / "runs" / name / "run.json").read_text())["status"] == status
    assert set(comparable("told", store)["status"]) == {"interrupted"}
    pd.testing.assert_frame_equal(comparable("last", store), undisturbed)
    assert_nothing_twice(plan, store)
    assert_whole(store)


def test_a_head_that_hangs_is_left_and_the_run_ends(tmp_path, monkeypatch):
    """Its port stays open and it answers nothing, so that Ray itself waits for ever: also as the process ends."""
    plan, store = Plan(tmp_path), tmp_path / "s"
    monkeypatch.setenv("HARNESS_HEAD_TIMEOUT_S", "3")
    with Raylets(**plan.env) as cluster:
        cluster.add(num_cpus=4)
        words = ("run", "--suite", plan.suite, "--plugin", plan.plugin, "--ipc", "1", "--methods", "steps")
        process = harness_process(*words, "--store", store, "--name", "r", "--ray-address", cluster.address)
        plan.allow("fit", 5)
        wait_for(plan.steps, None, tmp_path / "no log", seconds=60)
        (head,) = (pid for pid, command in cluster.processes().items() if "gcs_server" in command)
        os.kill(head, signal.SIGSTOP)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            os.kill(head, signal.SIGCONT)
    assert process.returncode == 2, err
    assert re.search(r"its head has not answered for \d+ s", err)
    assert "Traceback" not in out + err
    assert json.loads((store / "runs" / "r" / "run.json").read_text())["status"] == "interrupted"


def assert_no_worker_goes_on(plan, cluster):
    """The worker of a driver that is gone ends, and with it the fit."""
    worker = plan.steps()[-1][1]
    wait_for(lambda: worker not in cluster.processes(), None, plan.log, seconds=60)
