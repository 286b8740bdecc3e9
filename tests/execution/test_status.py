"""States of jobs are counted as they change, and the counts are always those of the states."""

from collections import Counter

from harness.core.config.suite import Resources
from harness.execution.status import Statuses
from harness.jobs.job import Job

JOBS = {
    key: Job(key, kind, key, {}, {}, Resources())
    for key, kind in {"a": "prior", "b": "train", "c": "train", "d": "train"}.items()
}


def check(statuses):
    assert +statuses.counts == Counter(statuses.values())
    assert +statuses.counts_by_kind == Counter((JOBS[key].kind, state) for key, state in statuses.items())
    assert set(statuses.running) == {key for key, state in statuses.items() if state == "running"}


def test_counts_follow_each_change():
    statuses = Statuses(JOBS, {"a": "cached"})
    check(statuses)
    changes = [("c", "running"), ("b", "running"), ("c", "done"), ("b", "failed"), ("b", "running"), ("d", "blocked")]
    for key, state in [*changes, ("d", "blocked")]:
        statuses[key] = state
        check(statuses)
    assert statuses == {"a": "cached", "b": "running", "c": "done", "d": "blocked"}


def test_running_jobs_are_listed_in_the_order_in_which_they_began():
    statuses = Statuses(JOBS)
    for key in "dbc":
        statuses[key] = "running"
    assert list(statuses.running) == ["d", "b", "c"]


def test_what_is_to_come_is_counted_by_kind():
    statuses = Statuses(JOBS, {"a": "done", "b": "running"})
    assert statuses.to_come() == {"train": 3}
