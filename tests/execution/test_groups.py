"""Which trainings are handed to a worker at once, and how what becomes of them is told apart again."""

from types import SimpleNamespace

import pytest
from rich.console import Console

import harness
from harness.api.run_setup import make_executor
from harness.core.config.suite import Resources
from harness.core.executors import executors, register_executor
from harness.execution.ray import executor as module
from harness.execution.ray.groups import Groups, kind_of
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.planner import make_plan
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from tests.execution.test_ray import Nodes, executor_on, row


def job(key, kind="a", **resources):
    return Job(key, "train", f"train {key}", {"kind": kind}, {}, Resources(**resources))


def groups(jobs, num_gpus=1):
    made = Groups(lambda job: job.spec["kind"])
    made.expect(jobs, num_gpus)
    return made


def test_jobs_of_a_kind_join_until_their_share_is_reached():
    jobs = [job(str(i)) for i in range(5)]
    made = groups(jobs, num_gpus=2)  # three and two
    assert [made.add(one) for one in jobs] == [True] * 5
    assert not made.has_room(job("another"))
    assert [[one.key for one in group] for group in made.take()] == [["0", "1", "2"], ["3", "4"]]
    assert not made.has_room(jobs[0])


def test_jobs_that_share_a_gpu_are_that_many_groups():
    jobs = [job(str(i), gpus=0.5) for i in range(5)]
    made = groups(jobs)
    assert [made.add(one) for one in jobs] == [True] * 5
    assert [len(group) for group in made.take()] == [3, 2]


def test_other_kinds_and_single_jobs_go_alone():
    jobs = [job("a1"), job("a2"), job("b1", "b"), job("c1", ""), job("c2", "")]
    made = groups(jobs)
    assert [made.add(one) for one in jobs] == [True, True, False, False, False]
    assert not made.has_room(jobs[2])


def test_a_job_that_was_lost_goes_alone_and_one_that_nobody_expected_too():
    jobs = [job("1"), job("2")]
    made = groups(jobs)
    made.part("1")
    assert [made.add(one) for one in (*jobs, job("3"))] == [False, True, False]


class Remote:
    """A Ray task whose calls are kept; each is answered with what the test gives it."""

    def __init__(self):
        self.handed = []

    def options(self, **asked):
        return SimpleNamespace(remote=lambda jobs, *rest: self.handed.append((asked["name"], jobs)) or len(self.handed))


@pytest.fixture
def executor(monkeypatch):
    """An executor on one node for one job, whose trainings are all of one kind."""
    made = executor_on(Nodes(row("a", 1.0)))
    made._task, made._groups = Remote(), groups([job("1"), job("2"), job("3")])
    made._seen = SimpleNamespace(board=None, forget=lambda key: None, where=lambda key, patience_s=0: None)
    return made


def test_trainings_of_a_kind_are_one_task_that_holds_what_one_of_them_does(executor):
    executor._ray.ended = [Outcome("1"), Outcome("2", "no memory"), Outcome("3")]
    for one in (job("1"), job("2"), job("3")):
        assert executor.has_room(one)
        executor.submit(one)
    assert not executor.has_room(job("4")), "the group holds the only CPU before it is handed over"
    assert not executor._task.handed
    ended = executor.wait(0.0)
    assert [(name, [one.key for one in jobs]) for name, jobs in executor._task.handed] == [
        ("train 1 and 2 more", ["1", "2", "3"])
    ]
    assert [(one.key, one.error) for one in ended] == [("1", ""), ("2", "no memory"), ("3", "")]
    assert executor.has_room(job("4"))


def test_a_lost_worker_loses_all_and_each_is_tried_again_alone(executor, tmp_path):
    from harness.core.store import Store

    executor.context = SimpleNamespace(store=Store(tmp_path), device="cpu")
    for one in (job("1"), job("2")):
        executor.submit(one)
    executor._hand_over(executor._groups.take()[0])
    assert executor.cancel("2", "no sign of life")
    ended = executor.wait(0.0)
    assert [(one.key, one.lost, one.error) for one in ended] == [(k, True, "no sign of life") for k in ("1", "2")]
    for key in ("1", "2"):
        executor.submit(job(key))
    assert [[one.key for one in jobs] for _, jobs in executor._task.handed[1:]] == [["1"], ["2"]]


@pytest.mark.drill
def test_a_run_in_groups_has_the_records_of_one_job_at_a_time(tiny_suite, tmp_path, monkeypatch):
    """On a CPU the trial in the worker chooses one after the other, so the bits are equal; the way there is that of a GPU."""
    monkeypatch.setattr(module, "TOGETHER_ON", ("cpu",))
    handed = []
    keep = module.RayExecutor._hand_over
    monkeypatch.setattr(
        module.RayExecutor, "_hand_over", lambda self, jobs: handed.append(len(jobs)) or keep(self, jobs)
    )
    fields = {"methods": ["random_real"], "suite": tiny_suite, "ipc": [2], "seeds": [0, 1, 2, 3]}
    grouped = harness.run(**fields, store=tmp_path / "a", workers=1)
    alone = harness.run(**fields, store=tmp_path / "b", executor="local")
    assert handed == [1, 4], "the set, and its four students"
    ours, theirs = (
        harness.load_results(one, tmp_path / name).sort_values("training_seed")[["train_key", "top1_last", "status"]]
        for one, name in ((grouped, "a"), (alone, "b"))
    )
    assert ours.values.tolist() == theirs.values.tolist()


@pytest.mark.parametrize(("limit", "together"), [(None, True), ("2h", False)])
def test_under_a_time_limit_every_job_goes_alone(tiny_suite, tmp_path, limit, together):
    """A limit is one job's: of several as one nobody could say whose it was."""
    seen, known = [], executors.snapshot()
    register_executor("seen")(lambda context, options: seen.append(options))
    try:
        request = make_request(
            suite=tiny_suite, methods=["random_real"], store=tmp_path, executor="seen", job_timeout=limit
        )
        make_executor(resolve(request), SimpleNamespace(note=None), Console())
    finally:
        executors.restore(known)
    assert [options.together for options in seen] == [together]


@pytest.fixture
def students(tiny_suite, tmp_path):
    """Return a function: the planned train jobs of two seeds."""

    def make(**fields):
        request = make_request(
            suite=tiny_suite, methods=["random_real"], ipc=[2], seeds=[0, 1], store=tmp_path, **fields
        )
        return [job for job in make_plan(resolve(request).plan_input).jobs.values() if job.kind == "train"]

    return make


def test_a_kind_differs_in_all_but_seed_set_and_method(students):
    jobs, (soft, *_), (compiled, *_) = (
        students(),
        students(protocol="rded"),
        students(settings={"protocol.compiled": True}),
    )
    assert len({kind_of(job) for job in jobs}) == 1
    assert kind_of(soft) not in ("", kind_of(jobs[0]))
    assert kind_of(compiled) == ""
    assert kind_of(students(students=["timm:resnet10t"])[0]) == ""
