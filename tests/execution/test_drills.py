"""Faults of a cluster, with real raylets: nodes, workers, drivers and heads are killed, and the records stay the same.

Slow: each test starts a cluster and processes that train.
"""

import json
import os
import re
import signal
import time

import pandas as pd
import pytest
import yaml

from tests.execution.test_endurance import assert_whole, comparable
from tests.helpers.raylets import Raylets, gone
from tests.helpers.started import end_all, finish, start
from tests.helpers.support import tiny_suite_values

pytestmark = pytest.mark.slow

STEPS = 30

PLUGIN = """
import os
import time
import torch
from harness import DistilledSet, Method, register_method


@register_method("steps")
class Steps(Method):
    title = "Steps"

    def fit(self, task):
        state = task.checkpoint.load() or {"step": 0}
        for step in range(int(state["step"]), STEPS):
            time.sleep(0.1)
            with open(os.environ["DRILL_NOTES"], "a") as file:
                print(step, os.getpid(), file=file)
            task.checkpoint.save({"step": step + 1})
        return {"sum": torch.ones(1)}

    def synthesize(self, task, state, ipc):
        size = (ipc, 3, task.image_size, task.image_size)
        return DistilledSet({c.id: torch.rand(size, generator=task.rng(c.id)) for c in task.classes})
"""


class Plan:
    """A plan of a fit whose steps are noted, and of four trainings of some seconds."""

    def __init__(self, folder):
        self.notes, self.plugin, self.suite = folder / "notes", folder / "steps.py", folder / "drill.yaml"
        self.plugin.write_text(PLUGIN.replace("STEPS", str(STEPS)))
        values = tiny_suite_values()
        values["budget"] = {"ipc": [1], "training_seeds": [0, 1, 2, 3]}
        for protocol in values["protocol_overrides"].values():
            protocol["epochs"] = {"up_to": [], "above": 60}
        self.suite.write_text(yaml.safe_dump(values, sort_keys=False))
        self.log = folder / "log"
        self.env = {"DRILL_NOTES": str(self.notes)}

    def start(self, store, *options):
        words = ("run", "--suite", self.suite, "--plugin", self.plugin, "--ipc", "1", "--methods", "steps")
        return start(self.log, *words, "--store", store, *options, env={**self.env, "HARNESS_HEAD_TIMEOUT_S": "3"})

    def steps(self):
        """The steps of the fit in the order in which they were done, with the process of each."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [tuple(map(int, line.split())) for line in lines]

    def wait_for_step(self, step, process, seconds=120):
        wait_for(lambda: any(done >= step for done, _ in self.steps()), process, self.log, seconds)

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


def assert_nothing_twice(plan):
    """No job is done twice, and of the fit only the step in which its worker died."""
    assert sorted(plan.done()) == sorted(set(plan.done()))
    again = len(plan.steps()) - len({step for step, _ in plan.steps()})
    assert again <= len({pid for _, pid in plan.steps()}) - 1


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
        plan.wait_for_step(5, process)
        second = cluster.add(num_cpus=4)
        cluster.remove(first)
        wait_for(lambda: len(training_now(store)) == 4, process, plan.log)
        cluster.remove(second)
        wait_for(lambda: "no node of the cluster can hold it" in plan.log.read_text(), process, plan.log)
        cluster.add(num_cpus=4)
        assert finish(process) == 0, plan.log.read_text()
    assert "it goes on" in plan.log.read_text()
    pd.testing.assert_frame_equal(comparable("r", store), undisturbed)
    losses = json.loads((store / "runs" / "r" / "run.json").read_text())["losses"]
    assert [loss["job"].split()[0] for loss in losses] == ["fit", *["train"] * 4]
    assert all("left the cluster" in loss["reason"] for loss in losses), losses
    assert_nothing_twice(plan)
    assert_whole(store)


def test_a_fit_goes_on_after_the_end_of_its_driver_and_of_its_cluster(undisturbed, tmp_path):
    """The same command, four times: it is told to stop, killed, loses its cluster, ends."""
    plan, store = Plan(tmp_path), tmp_path / "s"
    with Raylets(**plan.env) as cluster:
        cluster.add(num_cpus=4)
        shared = ("--ray-address", cluster.address)
        process = plan.start(store, *shared, "--name", "told")
        plan.wait_for_step(3, process)
        os.kill(process.pid, signal.SIGTERM)
        assert finish(process) == 143, plan.log.read_text()
        assert_no_worker_goes_on(plan, cluster)

        process = plan.start(store, *shared, "--name", "killed")
        plan.wait_for_step(plan.steps()[-1][0] + 3, process)
        process.kill()
        process.join()
        assert_no_worker_goes_on(plan, cluster)

        process = plan.start(store, *shared, "--name", "headless")
        plan.wait_for_step(plan.steps()[-1][0] + 3, process)
        cluster.kill()
        assert finish(process) == 2, plan.log.read_text()
        assert gone(cluster.mark)
        cluster.start()
        cluster.add(num_cpus=4)
        process = plan.start(store, *shared, "--name", "last")
        assert finish(process) == 0, plan.log.read_text()
    text = plan.log.read_text()
    assert f"the cluster at {cluster.address} is gone" in text
    assert "Traceback" not in text
    assert "SIGTERM" not in text, "no dump of Ray's"
    for name, status in (("told", "interrupted"), ("killed", "running"), ("headless", "interrupted"), ("last", "done")):
        assert json.loads((store / "runs" / name / "run.json").read_text())["status"] == status
    assert set(comparable("told", store)["status"]) == {"interrupted"}
    pd.testing.assert_frame_equal(comparable("last", store), undisturbed)
    assert_nothing_twice(plan)
    assert_whole(store)


def assert_no_worker_goes_on(plan, cluster):
    """All workers of the driver end that is gone; its fit does no step more."""
    worker = plan.steps()[-1][1]
    wait_for(lambda: worker not in cluster.processes(), None, plan.log, seconds=30)
    assert plan.steps()[-1][1] == worker
