"""Why a task did not come to its end: one line for each cause, and whether it is tried again."""

import pytest
from ray import exceptions as ray

from harness.execution.ray.losses import Node, as_outcome, read_nodes
from harness.jobs.execute import Where

A, B = "a" * 56, "b" * 56
NODES = {A: Node("alpha", alive=True), B: Node("beta", alive=False, why="preempted")}
ON_ALPHA, ON_BETA = Where("alpha", A, 7, "cpu", 0.0), Where("beta", B, 7, "cpu", 0.0)


def raised(cause):
    return ray.RayTaskError("f", f"Traceback of {cause!r}", cause).as_instanceof_cause()


@pytest.mark.parametrize(
    ("error", "where", "words", "reason"),
    [
        (ray.WorkerCrashedError(), ON_ALPHA, "segmentation fault", "worker died: segmentation fault"),
        (ray.WorkerCrashedError(), ON_ALPHA, "os._exit(9) was called", "worker died: os._exit(9) was called"),
        (ray.WorkerCrashedError(), ON_ALPHA, "", "worker died: killed by signal 9"),
        (ray.WorkerCrashedError(), None, "", "worker died: killed by signal 9"),
        (ray.WorkerCrashedError(), ON_BETA, "", "node beta left the cluster (preempted)"),
        (ray.NodeDiedError(f"Node IP: 10.0.0.2, node ID: {B}. This"), ON_ALPHA, "", "node beta left the cluster (pre"),
        (ray.NodeDiedError("of a node that nobody knows"), None, "", "node unknown left the cluster"),
        (ray.OutOfMemoryError("0.97 of it"), ON_ALPHA, "", "out of memory on alpha: Ray killed the worker"),
        (ray.TaskUnschedulableError("not there"), None, "", "its node left the cluster before the job started"),
        (ray.OwnerDiedError("ab" * 14, "", ""), ON_ALPHA, "", "Ray lost the job's inputs (OwnerDiedError)"),
        (ray.TaskCancelledError(), ON_ALPHA, "", "the worker was interrupted"),
        (ray.LocalRayletDiedError(), ON_ALPHA, "", "LocalRayletDiedError: "),
        (raised(ray.TaskCancelledError()), ON_ALPHA, "", "the worker was interrupted"),
    ],
)
def test_what_the_system_took_away_is_lost_for_a_reason(error, where, words, reason):
    outcome = as_outcome("k", error, where, NODES, (words, f"{words}\nFile method.py"))
    assert outcome.error.startswith(reason)
    assert outcome.lost
    assert outcome.where == where
    assert "\n" not in outcome.error
    assert words in outcome.trace


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (raised(SystemError("broke\nbadly")), "SystemError: broke badly"),
        (raised(GeneratorExit("a BaseException")), "GeneratorExit: a BaseException"),
        (ray.RuntimeEnvSetupError("no such package"), "RuntimeEnvSetupError: "),
        (ModuleNotFoundError("No module named 'x'"), "ModuleNotFoundError: No module named 'x'"),
    ],
)
def test_what_a_job_raised_is_its_own_and_keeps_its_cause(error, line):
    outcome = as_outcome("k", error, ON_ALPHA, NODES)
    assert outcome.error.startswith(line)
    assert not outcome.lost


def test_nodes_are_read_with_why_they_left():
    table = [
        {"NodeID": A, "NodeManagerHostname": "alpha", "Alive": True, "DeathReason": 0, "DeathReasonMessage": ""},
        {"NodeID": B, "NodeManagerHostname": "beta", "Alive": False, "DeathReason": 3, "DeathReasonMessage": "drained"},
        {"NodeID": "c", "NodeManagerHostname": "gamma", "Alive": False, "DeathReasonMessage": "no heartbeat"},
    ]
    assert read_nodes(table) == {**NODES, "c": Node("gamma", alive=False, why="no heartbeat")}
