"""A job that runs longer than the limit has failed and says so; waiting for a worker is no running."""

import pytest

from harness.core.config.suite import Resources
from harness.execution import progress, time_limit
from harness.execution.executor import Stage
from harness.execution.scheduler import Scheduler, StoreView
from harness.execution.time_limit import TimeLimit
from harness.execution.view import View
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.plan import Plan, Row

JOBS = {key: Job(key, "train", f"train {key}", {}, {}, Resources()) for key in "ab"}


class Slow:
    """Runs all jobs at once and never ends one by itself; each `wait` takes ten seconds of the test's clock."""

    def __init__(self, clock, begins=("a", "b"), ends=()):
        self.clock, self.begins, self.ends = clock, begins, dict(ends)
        self.running, self.cancelled, self._ended = [], [], []

    def has_room(self, job):
        return True

    def submit(self, job):
        self.running.append(job.key)

    def stages(self):
        return {key: Stage("train", 0, 0, "") for key in self.running if key in self.begins}

    def wait(self, timeout_s):
        self.clock.now += 10
        ended = [*self._ended, *(Outcome(key) for key, at in self.ends.items() if at == self.clock.now)]
        self._ended = []
        return ended

    def cancel(self, key, reason):
        self.cancelled.append(key)
        self._ended.append(Outcome(key, reason, lost=True))
        return True

    def waits_for(self):
        return ""

    def machines(self):
        return ["a machine"]


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

    made = Clock()
    for module in (progress, time_limit):
        monkeypatch.setattr(module.time, "monotonic", lambda: made.now)
    return made


def test_a_job_that_runs_too_long_has_failed_and_is_not_tried_again(clock):
    slow = Slow(clock, ends={"b": 30.0})
    plan = Plan(JOBS, tuple(Row("m", 1, "s", 0, i, key) for i, key in enumerate(JOBS)))
    scheduler = Scheduler(plan, StoreView(lambda job: False), TimeLimit(slow, 60.0), View())
    scheduler.run()
    assert scheduler.status == {"a": "failed", "b": "done"}
    assert slow.cancelled == ["a"]
    assert scheduler.errors["a"].error == "stopped after 1m 10s: --job-timeout is 1m 00s"
    assert not scheduler.losses


def test_waiting_for_a_worker_is_no_running(clock):
    slow = Slow(clock, begins=())
    limited = TimeLimit(slow, 60.0)
    limited.submit(JOBS["a"])
    for _ in range(100):
        limited.wait(0.25)
    assert slow.cancelled == []


def test_a_job_that_was_done_just_before_is_done(clock):
    slow = Slow(clock)
    slow.cancel = lambda key, reason: slow._ended.append(Outcome(key)) or True
    limited = TimeLimit(slow, 20.0)
    limited.submit(JOBS["a"])
    assert [outcome for _ in range(9) for outcome in limited.wait(0.25)] == [Outcome("a")]


def test_all_else_is_the_executors(clock):
    assert TimeLimit(Slow(clock), 60.0).machines() == ["a machine"]
