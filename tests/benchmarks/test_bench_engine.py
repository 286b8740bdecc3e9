"""Speed of the engine's own work: the minimax criteria, planning, and what the CPU settings of the executors bring.

Run by `make bench`. Ratios are measured in one run and printed in the column "extra_info" of the JSON and below.
"""

import os
import subprocess
import sys
import time

import pytest
import torch
import yaml

import harness
from harness import Method
from harness.api.run import prepare
from harness.core.classes import ClassInfo
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Budget, Suite
from harness.core.executors import ExecutorOptions
from harness.core.store import Store
from harness.execution.ray.executor import RayExecutor
from harness.execution.scheduler import Scheduler, StoreView
from harness.execution.view import View
from harness.planning.plan import MethodPlan, PlanInput
from harness.planning.planner import make_plan
from harness.planning.request import make_request
from methods.minimax import Criteria
from tests.helpers.support import tiny_suite_values


@pytest.mark.benchmark(group="minimax criteria step")
@pytest.mark.parametrize("side", [4, 32], ids=["digits 4x4x4", "ImageNet 4x32x32"])
def test_minimax_criteria_step(benchmark, side):
    """Forward and backward of both criteria at batch 8, 10 classes, memories of 64 filled."""
    torch.manual_seed(0)
    criteria = Criteria(torch.arange(10), 0.002, 0.008, 64)
    labels = torch.arange(8) % 10
    for _ in range(100):
        criteria(torch.randn(8, 4, side, side), torch.randn(8, 4, side, side), torch.randint(0, 10, (8,)))
    real = torch.randn(8, 4, side, side)

    def step():
        predicted = torch.randn(8, 4, side, side, requires_grad=True)
        represent, diversity = criteria(real, predicted, labels)
        (represent + diversity).backward()

    benchmark(step)


class Nothing(Method):
    """A method for planning only."""

    name = "nothing"
    nested = True

    def fit(self, task):
        return None


@pytest.mark.benchmark(group="planning")
def test_planning_5000_jobs_for_1000_classes(benchmark):
    """Ten methods, five IPCs, four students, five distillation and five training seeds: 5,100 jobs."""
    suite = Suite(
        name="big",
        version=1,
        source={"kind": "digits"},
        classes="c.txt",
        image_size=256,
        budget=Budget(ipc=(1, 10, 20, 50, 100), distillation_seeds=range(5), training_seeds=range(5)),
        students=("convnet6", "resnet_ap10", "resnet18", "resnet50"),
    )
    classes = tuple(ClassInfo(f"n{i:08d}", i, f"class {i}") for i in range(1000))
    methods = tuple(
        MethodPlan(f"m{i}", type(f"M{i}", (Nothing,), {"name": f"m{i}"}), {}, f"code{i}") for i in range(10)
    )
    given = PlanInput(suite, classes, methods, suite.students, Protocol(), Protocol(), "data")
    plan = benchmark(make_plan, given)
    assert len(plan.jobs) == 10 * 5 * (1 + 1 + 5 * 4 * 5)


STEP = """
import sys, time
from harness.jobs import threads as job_threads
keep, threads = sys.argv[1] == "keep", int(sys.argv[2])
if keep:
    assert job_threads.keep_pages()
job_threads.set_threads(threads)
import torch
from torch.nn import functional
from harness.students.build import build_student
torch.manual_seed(0)
model = build_student("convnet3", 10, 32)
optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
images, labels = torch.randn(64, 3, 32, 32), torch.randint(0, 10, (64,))
def step():
    optimiser.zero_grad()
    loss = functional.cross_entropy(model(images), labels)
    loss.backward()
    optimiser.step()
    return loss.item()
losses = [step() for _ in range(3)]
start = time.perf_counter()
losses += [step() for _ in range(12)]
print((time.perf_counter() - start) / 12, *losses)
"""


def measure(setting, threads=1):
    """Return seconds a step and the losses, in a process of its own: the setting cannot be taken back."""
    out = subprocess.run(
        [sys.executable, "-c", STEP, setting, str(threads)], capture_output=True, text=True, check=True
    ).stdout.split()
    return float(out[0]), out[1:]


@pytest.mark.benchmark(group="CPU settings of the executors")
@pytest.mark.skipif(sys.platform != "linux", reason="kept pages are a setting of glibc")
def test_kept_pages_speed_up_a_training_step_with_equal_losses(benchmark):
    """ConvNet-3 at 32 pixels, batch 64, one thread; the ratio stands in extra_info."""
    plain = [measure("plain") for _ in range(3)]
    kept = [measure("keep") for _ in range(3)]
    assert {tuple(losses) for _, losses in plain} == {tuple(losses) for _, losses in kept}
    ratio = sorted(s for s, _ in plain)[1] / sorted(s for s, _ in kept)[1]
    benchmark.extra_info["plain / kept pages"] = round(ratio, 2)
    print(f"\nplain / kept pages, ConvNet-3@32, batch 64, 1 thread: {ratio:.2f}")
    benchmark.pedantic(measure, args=("keep",), rounds=1)


@pytest.mark.benchmark(group="CPU settings of the executors")
def test_two_jobs_of_one_thread_beat_two_of_two_threads_on_two_cores(benchmark):
    """Two processes at once, each with one thread against each with two; the ratio stands in extra_info."""

    def pair(threads):
        command = [sys.executable, "-c", STEP, "keep", str(threads)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        return sum(float(process.communicate()[0].split()[0]) for process in running) / 2

    one, two = pair(1), pair(2)
    benchmark.extra_info["two threads / one thread"] = round(two / one, 2)
    print(f"\nseconds a step with two threads each / one thread each: {two / one:.2f}")
    benchmark.pedantic(pair, args=(1,), rounds=1)


TRAININGS, EPOCHS = 12, 700
"""Equal trainings, of five seconds or more each on one core."""


def trained_by(workers, suite, store):
    """Return the seconds that the trainings of a plan took beside each other, without the start of Ray, and of each."""
    fields = {"suite": suite, "methods": ["random_real"], "ipc": [1], "store": store, "device": "cpu"}
    harness.run(**fields, seeds=[TRAININGS], executor="local")  # the set, and the imports of this process
    resolved, plan = prepare(make_request(**fields, seeds=range(TRAININGS), workers=workers))
    executor = RayExecutor(resolved.context, ExecutorOptions(workers=workers))
    made = Store(store)
    scheduler = Scheduler(plan, StoreView(lambda job: made.has(job.kind, job.key)), executor, View())
    try:
        executor.start(scheduler.to_run())
        began = time.monotonic()
        scheduler.run()
        took = time.monotonic() - began
    finally:
        executor.stop()
    assert not scheduler.errors
    return took, [made.manifest("train", row.train)["measured"]["wall_s"] for row in plan.rows]


@pytest.mark.benchmark(group="engine")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers need two cores")
def test_two_workers_take_at_most_0_6_of_the_time_of_one(benchmark, tmp_path):
    """Twelve equal trainings on one thread each; the ratio stands in extra_info."""
    values = tiny_suite_values()
    for protocol in values["protocol_overrides"].values():
        protocol["epochs"] = {"up_to": [], "above": EPOCHS}
    suite = tmp_path / "equal.yaml"
    suite.write_text(yaml.safe_dump(values, sort_keys=False))
    one, alone = trained_by(1, suite, tmp_path / "one")
    two, beside = trained_by(2, suite, tmp_path / "two")
    benchmark.extra_info |= {"two workers / one": round(two / one, 3), "one_s": round(one, 1), "two_s": round(two, 1)}
    print(f"\n{TRAININGS} trainings: {one:.1f} s with one worker, {two:.1f} s with two, ratio {two / one:.3f}")
    print(
        f"of each: {min(alone):.1f} to {max(alone):.1f} s alone, {min(beside):.1f} to {max(beside):.1f} s beside another"
    )
    benchmark.pedantic(lambda: None, rounds=1)
    assert min(alone) >= 5
    assert two / one <= 0.6
