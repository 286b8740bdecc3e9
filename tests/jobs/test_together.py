"""Train jobs that a worker gets at once: one training, and each result under its own key; whatever goes wrong, each alone."""

import pytest
import torch

from harness.api.run import prepare
from harness.jobs import together
from harness.jobs.execute import execute
from harness.jobs.train import TRAINED
from harness.planning.request import make_request

SEEDS = (0, 1, 2)


@pytest.fixture
def prepared(tiny_suite, tmp_path_factory):
    """Return a function: a store with a set of random images, and the train jobs of three seeds that wait for them."""

    def make(**fields):
        store = tmp_path_factory.mktemp("store")
        request = make_request(
            suite=tiny_suite, methods=["random_real"], ipc=[2], seeds=SEEDS, store=store, executor="local", **fields
        )
        resolved, plan = prepare(request)
        jobs = list(plan.jobs.values())
        for job in jobs:
            if job.kind != "train":
                assert execute(job, resolved.context, lambda *_: None).ok
        return resolved.context, [job for job in jobs if job.kind == "train"]

    return make


@pytest.fixture
def forced(monkeypatch):
    """A machine on which several as one are faster: on a CPU the trial says that they are not. Returns what is trained."""
    from harness.training import together as training

    sizes, train = [], training.train_together
    monkeypatch.setattr(training, "faster_together", lambda given: True)
    monkeypatch.setattr(
        training, "train_together", lambda given, report: sizes.append(len(given)) or train(given, report)
    )
    yield sizes
    TRAINED.clear()


def results(context, jobs):
    """Run jobs to their ends; return the result of each, as its artefact has it."""
    for job in jobs:
        outcome = execute(job, context, lambda *_: None)
        assert outcome.ok, outcome.trace
    return [context.store.manifest("train", job.key) for job in jobs]


def test_each_result_is_kept_under_its_own_key_and_is_that_of_a_training_alone(prepared, forced):
    context, jobs = prepared()
    told = []
    together.train_jobs(jobs, context, lambda *stage: told.append(stage[:3]))
    assert forced == [3]
    assert told[-1] == ("train", 2, 2)
    assert set(TRAINED) == {job.key for job in jobs}
    ours = results(context, jobs)
    assert not TRAINED
    alone_context, alone_jobs = prepared()
    assert [job.key for job in alone_jobs] == [job.key for job in jobs]
    for one, other in zip(ours, results(alone_context, alone_jobs), strict=True):
        assert one["result"].pop("trained_together") == 3
        assert one["result"].keys() == other["result"].keys()
        assert one["result"]["train_loss_last"] == pytest.approx(other["result"]["train_loss_last"], rel=1e-4)
        assert one["result"]["top1_last"] == pytest.approx(other["result"]["top1_last"], abs=0.6), "3 of 540 images"
        assert {"curves.csv", "confusion.csv"} <= set(one["files"])
        assert one["measured"]["wall_s"] > 0
        assert one["measured"]["cpu_s"] is None


def test_what_is_in_the_store_is_not_trained_again(prepared, forced):
    context, jobs = prepared()
    results(context, jobs[:1])
    together.train_jobs(jobs, context, lambda *_: None)
    assert forced == [2]


def test_where_one_after_the_other_is_faster_nothing_is_trained_as_one(prepared, monkeypatch):
    from harness.training import together as training

    monkeypatch.setattr(training, "faster_together", lambda given: False)
    context, jobs = prepared()
    together.train_jobs(jobs, context, lambda *_: None)
    assert not TRAINED


def test_the_trial_compares_an_epoch_of_all_with_one_of_each(prepared, monkeypatch):
    """The clock is the test's: each reading is one second later, and three seconds later for the stack."""
    from harness.jobs.clock import Clock
    from harness.jobs.train import read_training
    from harness.training import together as training

    context, jobs = prepared()
    given = [read_training(job, context, lambda *_: None, Clock(torch.device("cpu"), 1)) for job in jobs]
    for stacked_s, faster in ((2.0, True), (4.0, False)):
        times = iter([0.0, 1.0, 10.0, 10.0 + stacked_s])
        monkeypatch.setattr(training.time, "perf_counter", lambda times=times: next(times))
        assert training.faster_together(given) is faster


def test_without_memory_for_all_halves_are_trained(prepared, forced, monkeypatch):
    from harness.training import together as training

    train = training.train_together

    def small(given, report):
        if len(given) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train(given, report)

    monkeypatch.setattr(training, "train_together", small)
    context, jobs = prepared()
    together.train_jobs(jobs, context, lambda *_: None)
    assert forced == [2], "a third one trains alone"
    assert len(TRAINED) == 2


def test_a_failure_leaves_every_job_to_itself(prepared, forced, monkeypatch, caplog):
    from harness.training import together as training

    def broken(given, report):
        raise RuntimeError("the training loss is nan")

    monkeypatch.setattr(training, "train_together", broken)
    context, jobs = prepared()
    together.train_jobs(jobs, context, lambda *_: None)
    assert not TRAINED
    assert "3 trainings as one failed, so each is trained alone: the training loss is nan" in caplog.text
    assert all("trained_together" not in one["result"] for one in results(context, jobs))
