"""The scheduler keeps the order of dependencies, and a failure blocks only what needs it."""

from dataclasses import replace

from harness.core.config.suite import Resources
from harness.execution import scheduler as scheduler_module
from harness.execution.scheduler import Scheduler, StoreView
from harness.execution.view import View
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.plan import Plan, Row


def job(key, kind="train", *deps):
    return Job(key, kind, f"{kind} {key}", {}, {"needs": deps} if deps else {}, Resources())


def plan(*jobs, rows=None):
    wanted = rows or [j.key for j in jobs if j.kind == "train"]
    return Plan({j.key: j for j in jobs}, tuple(Row("m", 1, "s", 0, i, key) for i, key in enumerate(wanted)))


class Recorder(View):
    """An executor that notes the order and fails the jobs named; also the view.

    `outcomes` holds, by key, what the first tries of a job come to: fields of an `Outcome`.
    """

    def __init__(self, failing=(), width=1, outcomes=None):
        self.failing, self.width = failing, width
        self.outcomes = {key: list(tries) for key, tries in (outcomes or {}).items()}
        self.held_up, self.waited = [], []
        self.order, self._ended, self.shown, self.losses = [], [], [], []

    def has_room(self, job):
        return len(self._ended) < self.width

    def submit(self, job):
        self.order.append(job.key)
        tries = self.outcomes.get(job.key)
        fields = tries.pop(0) if tries else {"error": "broke" if job.key in self.failing else ""}
        self._ended.append(Outcome(job.key, **fields))

    def wait(self, timeout_s):
        ended, self._ended = self._ended[-1:], self._ended[:-1]  # the newest first: order must not matter
        return ended

    def stages(self):
        return {}

    def waits_for(self):
        return self.held_up.pop(0) if self.held_up else ""

    def waits(self, text):
        self.waited.append(text)

    def update(self, status, stages):
        self.shown.append(dict(status))

    def ended(self, job, status, outcome):
        self.shown.append({job.key: status})

    def lost(self, job, loss, tries_left):
        self.losses.append((job.key, loss.reason, tries_left))


def run(plan_, has=lambda job: False, store=None, claims=None, retries=2, **options):
    recorder = Recorder(**options)
    scheduler = Scheduler(plan_, store or StoreView(has), recorder, recorder, claims=claims, retries=retries)
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


def test_the_longest_remaining_chain_goes_first():
    """A training that waits for nothing goes between: the prior's chain is longer, whatever the order in the plan."""
    long = [
        job("prior", "prior"),
        job("fit", "fit", "prior"),
        job("set", "synthesize", "fit"),
        job("t2", "train", "set"),
    ]
    jobs = plan(job("t1"), job("other", "teacher"), job("label", "label", "other"), job("t3", "train", "label"), *long)
    _, recorder = run(jobs)
    assert recorder.order == ["prior", "other", "fit", "set", "label", "t1", "t3", "t2"]


def test_a_job_for_which_there_is_no_room_waits_and_later_ones_do_not_overtake_it():
    class LargeNeedsAll(Recorder):
        def has_room(self, job):
            return not self._ended if job.key == "large" else super().has_room(job)

    recorder = LargeNeedsAll(width=3)
    Scheduler(plan(job("t1"), job("large"), job("t2")), StoreView(lambda job: False), recorder, recorder).run()
    assert recorder.order == ["t1", "large", "t2"]


def test_jobs_for_another_accelerator_are_not_held_back():
    class NoH100(Recorder):
        def has_room(self, job):
            return not (job.resources.accelerator and len(self.order) < 2)

    needs = replace(job("t1"), resources=Resources(gpus=1, accelerator="H100"))
    recorder = NoH100()
    Scheduler(plan(needs, job("t2"), job("t3")), StoreView(lambda job: False), recorder, recorder).run()
    assert recorder.order == ["t2", "t3", "t1"]


LOST = {"error": "the node died", "lost": True}


def test_what_the_system_lost_is_tried_again():
    jobs = plan(job("fit", "fit"), job("set", "synthesize", "fit"), job("t1", "train", "set"))
    scheduler, recorder = run(jobs, outcomes={"fit": [LOST, LOST]})
    assert recorder.order == ["fit", "fit", "fit", "set", "t1"]
    assert set(scheduler.status.values()) == {"done"}
    assert recorder.losses == [("fit", "the node died", 1), ("fit", "the node died", 0)]
    assert [loss.reason for loss in scheduler.losses["fit"]] == ["the node died"] * 2


def test_what_is_lost_too_often_fails_and_says_how_often_it_was_tried():
    scheduler, recorder = run(plan(job("fit", "fit"), job("t1", "train", "fit")), outcomes={"fit": [LOST] * 3})
    assert recorder.order == ["fit"] * 3
    assert scheduler.errors["fit"].error == "the node died, 3 attempts"
    assert scheduler.status == {"fit": "failed", "t1": "blocked"}
    scheduler, recorder = run(plan(job("t1")), outcomes={"t1": [LOST]}, retries=0)
    assert (recorder.order, scheduler.errors["t1"].error) == (["t1"], "the node died")


def test_what_keeps_a_job_from_its_start_is_said_once_and_that_it_goes_on():
    recorder = Recorder()
    recorder.held_up = ["", "t1 waits", "t1 waits"]
    Scheduler(plan(*(job(f"t{n}") for n in range(5))), StoreView(lambda job: False), recorder, recorder).run()
    assert recorder.waited == ["t1 waits", ""]


def test_an_exception_of_a_method_is_not_tried_again():
    _, recorder = run(plan(job("t1")), failing={"t1"})
    assert recorder.order == ["t1"]


def test_an_input_that_was_damaged_is_made_again_and_then_the_job():
    jobs = plan(job("prior", "prior"), job("set", "synthesize", "prior"), job("t1", "train", "set"), rows=["t1"])
    damaged = {"error": "damaged", "missing": "set"}
    store = StoreView(lambda job: job.kind != "train")
    scheduler, recorder = run(jobs, store=store, outcomes={"t1": [damaged]})
    assert recorder.order == ["t1", "set", "t1"], "the prior is there"
    assert scheduler.status == {"prior": "cached", "set": "done", "t1": "done"}


def test_an_input_that_is_damaged_each_time_ends_in_a_failure():
    damaged = {"error": "damaged", "missing": "set"}
    scheduler, recorder = run(plan(job("set", "synthesize"), job("t1", "train", "set")), outcomes={"t1": [damaged] * 9})
    assert scheduler.status == {"set": "done", "t1": "failed"}
    assert recorder.order == ["set", "t1"] * 3


def test_many_jobs_that_find_one_input_damaged_at_once_have_it_made_again_once():
    damaged = {"error": "damaged", "missing": "set"}
    trainings = [job(f"t{number}", "train", "set") for number in range(8)]
    outcomes = {one.key: [damaged] for one in trainings}
    scheduler, recorder = run(plan(job("set", "synthesize"), *trainings), outcomes=outcomes, width=8)
    assert set(scheduler.status.values()) == {"done"}
    assert recorder.order.count("set") == 2


def test_an_input_that_cannot_be_made_again_fails_what_needs_it():
    damaged = {"error": "damaged", "missing": "set"}
    trainings = [job(f"t{number}", "train", "set") for number in range(3)]
    outcomes = {"set": [{}, {"error": "broke"}]} | {one.key: [damaged] for one in trainings}
    scheduler, _ = run(plan(job("set", "synthesize"), *trainings), outcomes=outcomes, width=3)
    assert scheduler.status["set"] == "failed"
    assert not {"waiting", "running", "done"} & set(scheduler.status.values())


def test_what_is_read_is_compared_with_its_sums_once_and_nothing_else():
    asked = []
    jobs = plan(
        job("prior", "prior"), job("set", "synthesize", "prior"), job("t1", "train", "set"), job("t2", "train", "set")
    )

    def intact(job):
        asked.append(job.key)
        return job.key != "t1"

    scheduler, recorder = run(jobs, store=StoreView(lambda job: True, intact))
    assert recorder.order == ["t1"]
    assert sorted(asked) == ["set", "t1", "t2"], "nobody reads the prior"
    assert scheduler.status["t1"] == "done"


class Shared:
    """Claims of a store where another run holds some jobs until it was asked often enough."""

    def __init__(self, held):
        self.held, self.mine = dict(held), set()

    def take(self, kind, key):
        self.held[key] = self.held.get(key, 0) - 1
        if self.held[key] >= 0:
            return False
        self.mine.add(key)
        return True

    def release(self, kind, key):
        self.mine.remove(key)


def test_a_job_that_another_run_does_is_taken_from_it(monkeypatch):
    monkeypatch.setattr(scheduler_module, "ASK_AGAIN_S", 0.0)
    store = StoreView(lambda job: False, has_anew=lambda job: job.key == "set")
    claims = Shared({"set": 9, "t2": 1})
    jobs = plan(job("set", "synthesize"), job("t1", "train", "set"), job("t2"))
    scheduler, recorder = run(jobs, store=store, claims=claims)
    assert recorder.order == ["t2", "t1"] or recorder.order == ["t1", "t2"]
    assert scheduler.status == {"set": "cached", "t1": "done", "t2": "done"}
    assert not claims.mine, "all claims are given back"
