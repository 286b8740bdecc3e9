"""The time of a job begins when a worker begins it: waiting for a worker is no work."""

import pytest

from harness.core.config.suite import Resources
from harness.execution import progress
from harness.execution.executor import Stage
from harness.jobs.job import Job
from harness.planning.plan import Plan

JOBS = {key: Job(key, "train", f"train {key}", {}, {}, Resources()) for key in "abcd"}
STAGE = Stage("train", 1, 10, "epoch")


@pytest.fixture
def left(monkeypatch):
    """The estimate over four trainings, and a clock that a test moves by hand."""
    made = progress.TimeLeft(Plan(JOBS, ()))
    made.now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: made.now)
    return made


def test_a_job_that_waits_inside_the_executor_has_not_begun(left):
    status = dict.fromkeys("abcd", "running")
    left.update(status, {})
    left.now = 100.0
    left.update(status, {"a": STAGE})
    left.now = 103.0
    left.update(status, {"a": STAGE})
    left.end(JOBS["a"])
    assert left.spent["train"] == [3.0]
    assert left.seconds({**status, "a": "done"}) == 9.0, "three are to come, one after the other"


def test_jobs_at_work_side_by_side_share_what_is_left(left):
    status = dict.fromkeys("ab", "running") | dict.fromkeys("cd", "waiting")
    left.update(status, {"a": STAGE, "b": STAGE})
    left.now = 4.0
    left.update(status, {"a": STAGE, "b": STAGE})
    left.end(JOBS["a"])
    assert left.seconds({**status, "a": "done"}) == 6.0


def test_a_job_without_a_report_began_after_the_last_look(left):
    """As in this process, where a job runs between two looks, and of a job that is shorter than the time between them."""
    left.update(dict.fromkeys("abcd", "running"), {})
    left.now = 2.0
    left.end(JOBS["a"])
    assert left.spent["train"] == [2.0]


def test_every_job_reports_when_it_begins(tiny_suite, tmp_path):
    from harness.api.run import prepare
    from harness.jobs.execute import execute
    from harness.planning.request import make_request

    resolved, plan = prepare(
        make_request(suite=tiny_suite, methods=["random_real"], ipc=[1], executor="local", store=tmp_path)
    )
    reports = []
    job = next(job for job in plan.jobs.values() if job.kind == "synthesize")
    assert execute(job, resolved.context, lambda *report: reports.append(report)).ok
    assert reports[0] == ("starting", 0, 0, "")
