"""20,000 jobs and 50,000 records: what the engine itself takes, with jobs that do nothing.

Run by `make bench`. Limits are in CPU seconds of this process, so that a busy machine does not change them; only Ray, which
works in processes of its own, is timed by the clock.
"""

import io
import itertools
import json
import time

import pytest
from rich.console import Console

from harness import Method, report
from harness.api.report import save_tables
from harness.core.classes import ClassInfo
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Budget, Resources, Suite
from harness.core.executors import ExecutorOptions
from harness.execution.executor import Stage
from harness.execution.local import LocalExecutor
from harness.execution.progress import LiveView, NotebookView, PlainView
from harness.execution.ray.executor import RayExecutor
from harness.execution.scheduler import Scheduler, StoreView
from harness.execution.status import Statuses
from harness.execution.view import View
from harness.jobs.context import JobContext
from harness.jobs.execute import Outcome
from harness.jobs.job import Job
from harness.jobs.kinds import job_kinds
from harness.planning.plan import MethodPlan, Plan, PlanInput, Row
from harness.planning.planner import make_plan
from harness.reporters import page
from tests.helpers.made_run import make_record, make_run


class Fitted(Method):
    name = "fitted"
    nested = True

    def fit(self, task):
        return None


@pytest.mark.benchmark(group="planning", timer=time.process_time)
@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_20000_jobs_are_planned_in_3_seconds(benchmark, labels):
    """Twenty methods, five IPCs, four students, five distillation and ten training seeds, 1,000 classes."""
    suite = Suite(
        name="big",
        version=1,
        source={"kind": "digits"},
        classes="c.txt",
        image_size=256,
        budget=Budget(ipc=(1, 10, 20, 50, 100), distillation_seeds=range(5), training_seeds=range(10)),
        students=("convnet6", "resnet_ap10", "resnet18", "resnet50"),
        teacher={"student": "resnet18", "epochs": 3},
    )
    classes = tuple(ClassInfo(f"n{i:08d}", i, f"class {i}") for i in range(1000))
    methods = tuple(MethodPlan(f"m{i}", type(f"M{i}", (Fitted,), {"name": f"m{i}"}), {}, f"code{i}") for i in range(20))
    given = PlanInput(suite, classes, methods, suite.students, Protocol(labels=labels), Protocol(), "data")
    plan = benchmark.pedantic(make_plan, args=(given,), rounds=2)
    assert len(plan.rows) == 20_000
    assert benchmark.stats["min"] <= 3


def star(number, group=100):
    """Return a plan of so many trainings, a hundred on each distilled set."""
    resources = Resources(cpus=1, memory_gb=0.1)
    jobs = {}
    for i in range(number):
        made = f"set{i // group:05d}"
        jobs.setdefault(made, Job(made, "synthesize", made, {}, {}, resources))
        jobs[f"train{i:06d}"] = Job(f"train{i:06d}", "train", f"train {i}", {}, {"synthesize": (made,)}, resources)
    return Plan(jobs, tuple(Row("m", 1, "s", 0, i, f"train{i:06d}") for i in range(number)))


def event_ms(view_of, number):
    """Return the CPU milliseconds that a view takes for one job that begins, says what it does, and ends."""
    plan = star(number)
    view = view_of(plan, Console(file=io.StringIO(), force_terminal=view_of is LiveView))
    status, keys = Statuses(plan.jobs), list(plan.jobs)[-400:]
    stage = Stage("train", 1, 2, "epoch")
    with view:
        best = float("inf")
        for part in (keys[:100], keys[100:200], keys[200:300], keys[300:]):
            start = time.process_time()
            for key in part:
                status[key] = "running"
                view.update(status, {key: stage})
                status[key] = "done"
                view.ended(plan.jobs[key], "done", Outcome(key))
                view.update(status, {})
            best = min(best, (time.process_time() - start) / len(part) * 1000)
    return best


class Shown:
    """Stands for the output of a cell that can be written anew."""

    def update(self, *args, **options):
        pass


@pytest.mark.benchmark(group="progress views")
@pytest.mark.parametrize("view_of", [PlainView, NotebookView, LiveView])
def test_an_event_costs_a_view_the_same_at_500_and_at_50000_jobs(benchmark, view_of, monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: Shown())
    small = min(event_ms(view_of, 500) for _ in range(3))
    large = benchmark.pedantic(lambda: min(event_ms(view_of, 50_000) for _ in range(3)), rounds=1)
    benchmark.extra_info["ms an event at 500, at 50,000 jobs"] = [round(small, 4), round(large, 4)]
    print(f"\n{view_of.__name__}: {small:.4f} ms a job of 500, {large:.4f} ms a job of 50,000")
    assert large <= 1.5 * small


class NothingToDo:
    """An executor whose jobs are done at once, up to 64 side by side."""

    def __init__(self):
        self._running = []

    def has_room(self, job):
        return len(self._running) < 64

    def submit(self, job):
        self._running.append(job.key)

    def wait(self, timeout_s):
        ended, self._running = self._running[:8], self._running[8:]
        return [Outcome(key) for key in ended]

    def stages(self):
        return {}


def scheduled(plan, executor):
    """Run a plan of which the scheduler thinks that nothing is there."""
    scheduler = Scheduler(plan, StoreView(lambda job: False), executor, View())
    scheduler.run()
    assert set(scheduler.status.values()) == {"done"}


@pytest.mark.benchmark(group="scheduling jobs that do nothing", timer=time.process_time)
def test_scheduling_20000_jobs_costs_5_ms_each_at_most_and_does_not_grow(benchmark):
    begin = time.process_time()
    scheduled(star(2_000), NothingToDo())
    small = (time.process_time() - begin) / 2_000 * 1000
    plan = star(20_000)
    benchmark.pedantic(scheduled, args=(plan, NothingToDo()), rounds=1)
    large = benchmark.stats["min"] / len(plan.jobs) * 1000
    print(f"\nscheduler: {small:.3f} ms a job of 2,000, {large:.3f} ms a job of 20,000")
    assert large <= 5
    assert large <= 3 * small + 0.05


def with_artefacts(plan, folder):
    """Return the context of a run whose jobs find their artefacts in the store, so that executors do all but the work."""
    for job in plan.jobs.values():
        place = folder / "store" / job.kind / job.key
        place.mkdir(parents=True)
        (place / "manifest.json").write_text(json.dumps({"kind": job.kind, "key": job.key, "files": {}}))
    return JobContext(str(folder), {"kind": "digits"}, "data", "", ())


@pytest.fixture
def idle_kinds():
    """Every kind of job does nothing: what is left is the log, the clock and the artefact."""
    before = job_kinds.snapshot()
    job_kinds.restore({kind: lambda job, context, folder, report, clock: {} for kind in ("synthesize", "train")})
    yield
    job_kinds.restore(before)


@pytest.mark.benchmark(group="scheduling jobs that do nothing", timer=time.process_time)
@pytest.mark.parametrize("there", [True, False], ids=["artefact there", "artefact written"])
def test_a_job_that_does_nothing_costs_5_ms_in_this_process(benchmark, tmp_path, idle_kinds, there):
    plan = star(500)
    context = with_artefacts(plan if there else Plan({}, ()), tmp_path)
    scheduled(star(1), LocalExecutor(with_artefacts(Plan({}, ()), tmp_path / "first")))  # imports torch
    benchmark.pedantic(scheduled, args=(plan, LocalExecutor(context)), rounds=1)
    each = benchmark.stats["min"] / len(plan.jobs) * 1000
    print(f"\nlocal, {'artefact there' if there else 'artefact written'}: {each:.2f} ms a job")
    assert each <= 5


@pytest.mark.benchmark(group="scheduling jobs that do nothing")
def test_a_training_that_does_nothing_costs_60_ms_on_ray(benchmark, tmp_path):
    """By the clock, once its workers are there; the plan's sets get a process each and are done before."""
    plan = star(300)
    context = with_artefacts(plan, tmp_path)
    executor = RayExecutor(context, ExecutorOptions(workers=2))
    executor.start(list(plan.jobs.values()))
    try:
        sets = {key for key, job in plan.jobs.items() if job.kind == "synthesize"}
        first = dict(itertools.islice(((k, j) for k, j in plan.jobs.items() if k not in sets), 10))
        ready = StoreView(lambda job: job.key in sets)
        warm = Plan({k: plan.jobs[k] for k in sets} | first, tuple(r for r in plan.rows if r.train in first))
        Scheduler(warm, ready, executor, View()).run()  # starts the workers
        scheduler = Scheduler(plan, ready, executor, View())
        benchmark.pedantic(scheduler.run, rounds=1)
    finally:
        executor.stop()
    assert {scheduler.status[row.train] for row in plan.rows} == {"done"}
    each = benchmark.stats["min"] / len(plan.rows) * 1000
    print(f"\nRay: {each:.1f} ms a job")
    assert each <= 60


@pytest.fixture(scope="module")
def big_run(tmp_path_factory):
    """Twenty methods, ten IPCs, five students, five distillation and ten training seeds: 50,000 records."""
    places = itertools.product(*map(range, (20, 10, 5, 5, 10)))
    records = [
        make_record(
            f"method_{m:02d}", ipc=10 * (i + 1), student=f"student{s}", distillation_seed=d, training_seed=t,
            top1_best=30 + m / 8 + i + s / 8 + (d * 37 + t * 11 + m * 5) % 17 / 8, budget_bytes=1000 * (i + 1),
        )
        for m, i, s, d, t in places
    ]  # fmt: skip
    return make_run(tmp_path_factory.mktemp("store") / "runs" / "big", records)


@pytest.mark.benchmark(group="report of 50,000 records", timer=time.process_time)
def test_50000_records_are_reported_in_30_seconds(benchmark, big_run):
    """All tables in all their files, and the page; its size does not grow with the seeds."""

    def everything():
        tables = report(big_run)
        save_tables(big_run, tables)
        return page.write_page(big_run, tables)

    written = benchmark.pedantic(everything, rounds=1)
    size = written.stat().st_size
    print(f"\nreport of 50,000 records: {benchmark.stats['min']:.1f} s, page {size / 1e6:.1f} MB")
    assert benchmark.stats["min"] <= 30
    assert size < 10e6
