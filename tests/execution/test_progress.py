"""The time of a job begins when a worker begins it: waiting for a worker is no work."""

import io

import pytest
from rich.console import Console, Group

from harness.core.config.suite import Resources
from harness.execution import progress
from harness.execution.executor import Stage
from harness.execution.status import Statuses
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.planning.plan import Plan

JOBS = {key: Job(key, "train", f"train {key}", {}, {}, Resources()) for key in "abcd"}
STAGE = Stage("train", 1, 10, "epoch")


@pytest.fixture
def left(monkeypatch):
    """The estimate over four trainings, and a clock that a test moves by hand."""
    made = progress.TimeLeft()
    made.now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: made.now)
    return made


def test_a_job_that_waits_inside_the_executor_has_not_begun(left):
    status = Statuses(JOBS, dict.fromkeys("abcd", "running"))
    left.update(status, {})
    left.now = 100.0
    left.update(status, {"a": STAGE})
    left.now = 103.0
    left.update(status, {"a": STAGE})
    left.end(JOBS["a"])
    assert left.spent["train"] == 3.0
    status["a"] = "done"
    assert left.seconds(status) == 9.0, "three are to come, one after the other"


def test_jobs_at_work_side_by_side_share_what_is_left(left):
    status = Statuses(JOBS, dict.fromkeys("ab", "running"))
    left.update(status, {"a": STAGE, "b": STAGE})
    left.now = 4.0
    left.update(status, {"a": STAGE, "b": STAGE})
    left.end(JOBS["a"])
    status["a"] = "done"
    assert left.seconds(status) == 6.0


def test_a_job_without_a_report_began_after_the_last_look(left):
    """As in this process, where a job runs between two looks, and of a job that is shorter than the time between them."""
    left.update(Statuses(JOBS, dict.fromkeys("abcd", "running")), {})
    left.now = 2.0
    left.end(JOBS["a"])
    assert left.spent["train"] == 2.0


class Count:
    """Counts what is read of the states one by one: a view must not, whatever the number of jobs."""

    def __init__(self):
        self.reads = 0


def counting_statuses(jobs, count):
    class Counting(Statuses):
        def __iter__(self):
            count.reads += len(self)
            return super().__iter__()

        def values(self):
            count.reads += len(self)
            return super().values()

        def items(self):
            count.reads += len(self)
            return super().items()

    return Counting(jobs)


@pytest.mark.parametrize("view_of", [progress.PlainView, progress.LiveView])
def test_an_event_reads_no_more_than_its_job(view_of):
    jobs = {str(n): Job(str(n), "train", f"train {n}", {}, {}, Resources()) for n in range(1000)}
    count = Count()
    status = counting_statuses(jobs, count)
    view = view_of(Plan(jobs, ()), Console(file=io.StringIO()))
    with view:
        for key in list(jobs)[:20]:
            status[key] = "running"
            view.update(status, {key: STAGE})
            status[key] = "done"
            view.update(status, {})
            view.ended(jobs[key], "done", Outcome(key))
    assert count.reads == 0


def test_a_live_panel_is_drawn_at_most_four_times_a_second(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    view = progress.LiveView(Plan(JOBS, ()), Console(file=io.StringIO(), force_terminal=True))
    drawn = []
    monkeypatch.setattr(view, "_render", lambda: drawn.append(now[0]) or Group())
    status = Statuses(JOBS)
    for event in range(1000):
        now[0] = event / 100
        view.update(status, {})
    assert 39 <= len(drawn) <= 40, "ten seconds"


def test_the_panel_says_the_counts_and_first_the_jobs_that_say_what_they_do():
    jobs = {str(n): Job(str(n), "train", f"train {n}", {}, {}, Resources()) for n in range(30)}
    out = io.StringIO()
    console = Console(file=out, width=120)
    view = progress.LiveView(Plan(jobs, ()), console)
    status = Statuses(jobs, {str(n): "running" for n in range(20)} | {"29": "done"})
    view.update(status, {"15": STAGE})
    console.print(view._render())
    head, *lines = out.getvalue().splitlines()
    running = [line for line in lines if "train" in line]
    assert "done 1  running 20  to do 9" in head
    assert "train 15" in running[0]
    assert max(map(len, out.getvalue().splitlines())) <= 120
    assert "1/10 epoch" in running[0]
    assert len(running) == progress.SHOWN_STAGES


def test_a_notebook_keeps_the_first_failures_and_counts_the_rest(monkeypatch):
    shown = []

    class Shown:
        def update(self, data, raw):
            shown.append(data["text/plain"])

    monkeypatch.setattr("IPython.display.display", lambda *args, **options: Shown())
    with progress.NotebookView(Plan(JOBS, ()), Console(force_jupyter=True)) as view:
        for _ in range(1000):
            view.ended(JOBS["a"], "failed", Outcome("a", "broke"))
    assert len(shown[-1].splitlines()) == progress.SHOWN_FAILURES + 1
    assert shown[-1].endswith("... and 980 more failures")
    assert len(shown) < 100


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


def test_blocked_jobs_do_not_count_as_finished():
    out = io.StringIO()
    view = progress.PlainView(Plan(JOBS, ()), Console(file=out, width=200))
    status = Statuses(JOBS, {"a": "failed", "b": "blocked", "c": "blocked"})
    view.update(status, {})
    view.ended(JOBS["a"], "failed", Outcome("a", error="boom", trace='  File "/home/me/mine.py", line 3, in f\n'))
    line = out.getvalue()
    assert "1/4 failed: " in line
    assert "boom (/home/me/mine.py:3); 2 jobs blocked by failed jobs" in line


@pytest.mark.parametrize("width", [60, 80])
def test_a_title_is_whole_on_a_narrow_terminal(width):
    title = "train random_real ipc 1 set 0 seed 0"
    jobs = {"0": Job("0", "train", title, {}, {}, Resources())}
    out = io.StringIO()
    console = Console(file=out, width=width)
    view = progress.LiveView(Plan(jobs, ()), console)
    view.update(Statuses(jobs, {"0": "running"}), {"0": STAGE})
    console.print(view._render())
    assert width < 80 or title in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) <= width
