"""The scheduler keeps the order of dependencies, and a failure blocks only what needs it."""

from harness.core.config.suite import Resources
from harness.execution.scheduler import Scheduler
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.plan import Plan, Row


def job(key, kind="train", *deps):
    return Job(key, kind, f"{kind} {key}", {}, {"needs": deps} if deps else {}, Resources())


def plan(*jobs, rows=None):
    wanted = rows or [j.key for j in jobs if j.kind == "train"]
    return Plan({j.key: j for j in jobs}, tuple(Row("m", 1, "s", 0, i, key) for i, key in enumerate(wanted)))


class Recorder:
    """An executor that notes the order and fails the jobs named; also the view."""

    def __init__(self, failing=(), width=1):
        self.failing, self.width = failing, width
        self.order, self._ended, self.shown = [], [], []

    def has_room(self, job):
        return len(self._ended) < self.width

    def submit(self, job):
        self.order.append(job.key)
        self._ended.append(Outcome(job.key, "broke" if job.key in self.failing else ""))

    def wait(self, timeout_s):
        ended, self._ended = self._ended[-1:], self._ended[:-1]  # the newest first: order must not matter
        return ended

    def stages(self):
        return {}

    def update(self, status, stages):
        self.shown.append(dict(status))

    def ended(self, job, status, error):
        self.shown.append({job.key: status})


def run(plan_, has=lambda job: False, **options):
    recorder = Recorder(**options)
    scheduler = Scheduler(plan_, has, recorder, recorder)
    scheduler.run()
    return scheduler, recorder


def test_jobs_run_after_those_that_they_need():
    chain = plan(job("c", "train", "b"), job("b", "synthesize", "a"), job("a", "prior"))
    scheduler, recorder = run(chain, width=3)
    assert recorder.order == ["a", "b", "c"]
    assert set(scheduler.status.values()) == {"done"}


def test_a_failure_blocks_what_needs_it_and_nothing_else():
    jobs = plan(job("fit", "fit"), job("set", "synthesize", "fit"), job("t1", "train", "set"), job("t2"))
    scheduler, recorder = run(jobs, failing={"fit"})
    assert scheduler.status == {"fit": "failed", "set": "blocked", "t1": "blocked", "t2": "done"}
    assert scheduler.errors["t1"] == Outcome("t1", "broke", cause="fit")
    assert scheduler.errors["fit"].cause is None
    assert recorder.order == ["fit", "t2"]


def test_what_the_store_has_is_not_run():
    jobs = plan(job("a", "prior"), job("t", "train", "a"))
    scheduler, recorder = run(jobs, has=lambda j: True)
    assert recorder.order == []
    assert set(scheduler.status.values()) == {"cached"}


def test_a_missing_job_that_nothing_missing_needs_is_not_run():
    """A prior that was deleted after the images were made is not trained again."""
    jobs = plan(job("prior", "prior"), job("set", "synthesize", "prior"), job("t", "train", "set"))
    scheduler, recorder = run(jobs, has=lambda j: j.kind != "prior")
    assert recorder.order == []
    assert scheduler.status == {"prior": "not needed", "set": "cached", "t": "cached"}


def test_a_missing_training_brings_back_what_it_needs():
    jobs = plan(job("prior", "prior"), job("set", "synthesize", "prior"), job("t", "train", "set"))
    _, recorder = run(jobs, has=lambda j: False)
    assert recorder.order == ["prior", "set", "t"]


def test_long_stages_are_handed_out_first():
    jobs = plan(job("t1"), job("prior", "prior"), job("t2", "train", "prior"))
    _, recorder = run(jobs)
    assert recorder.order[0] == "prior"


def test_a_job_for_which_there_is_no_room_waits_and_later_ones_do_not_overtake_it():
    class LargeNeedsAll(Recorder):
        def has_room(self, job):
            return not self._ended if job.key == "large" else super().has_room(job)

    recorder = LargeNeedsAll(width=3)
    Scheduler(plan(job("t1"), job("large"), job("t2")), lambda job: False, recorder, recorder).run()
    assert recorder.order == ["t1", "large", "t2"]
