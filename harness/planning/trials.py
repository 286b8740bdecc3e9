"""What the jobs to come take by short trials on this device, where no earlier record tells.

In: a request, a plan, jobs. Out: device-seconds. Each network is tried once: images an epoch, options and sizes that
change what an image costs are tried apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from harness.core.plugin.discovery import load_method
from harness.core.plugin.method import Method
from harness.jobs.job import Job
from harness.planning.amounts import Amounts
from harness.planning.plan import Plan

if TYPE_CHECKING:
    from harness.planning.calibrate import Rates
    from harness.planning.resolve import Resolved
    from harness.planning.try_prior import PriorRates


class Trials:
    """Tries networks and remembers what it found."""

    def __init__(self, resolved: Resolved, plan: Plan, amounts: Amounts) -> None:
        self.resolved, self.plan, self.amounts = resolved, plan, amounts
        self._found: dict[str, Rates | None] = {}
        self._priors: dict[str, PriorRates] = {}

    def student_s(self, job: Job) -> float:
        """Return the device-seconds of a training."""
        from harness.planning.calibrate import measure_student  # it imports torch

        spec, amounts = job.spec, self.amounts
        recipe, num = amounts.recipe(job.kind, spec), amounts.an_epoch(job.kind, spec)
        protocol = {**spec["protocol"], "epochs": None}
        who = spec["student"] if job.kind == "train" else spec["teacher"]["student"]
        named = ["student", who, spec["side"], protocol, recipe.batch_size, min(num, recipe.batch_size)]
        rates = self._once(named, lambda: measure_student(self.resolved, job, recipe, num))
        assert rates is not None
        learned, scored = amounts.seen(job.kind, spec)
        return rates.learn_s * learned + rates.pass_s * scored

    def prior_s(self, job: Job) -> float:
        """Return the device-seconds that training a generator takes."""
        tried, train = self._prior(job), job.spec["train"]
        steps = sum(seconds * train[f"{part}_steps"] for part, seconds in tried.step_s.items())
        return steps + tried.encode_s * self.amounts.num_real

    def _prior(self, job: Job) -> PriorRates:
        from harness.planning.try_prior import try_prior  # it imports torch and diffusers

        if job.key not in self._priors:
            self._priors[job.key] = try_prior(self.resolved, job)
        return self._priors[job.key]

    def method_s(self, job: Job) -> float | None:
        """Return the device-seconds of a fit or a synthesis; None where the method or the weights do not tell."""
        method: Method = load_method(job.spec)
        parts = [self._denoiser_s(method, job), self._passes_s(method, job) if job.kind == "synthesize" else None]
        told = [seconds for seconds in parts if seconds is not None]
        return sum(told) if told else None

    def _denoiser_s(self, method: Method, job: Job) -> float | None:
        from harness.planning.calibrate import measure_denoiser  # it imports torch

        images = round(self.amounts.images(job.kind, job.spec))
        work = method.work(*((images, 0) if job.kind == "fit" else (0, images))).get(job.kind)
        if work is None:
            return None
        kind, learned, denoised = work
        prior = self.plan.jobs[job.deps[kind][0]]
        rates = self._once(["denoiser", kind], lambda: measure_denoiser(self.resolved, kind, prior, job))
        if rates is None and prior.spec["train"]:
            rates = self._prior(prior).denoiser
        return None if rates is None else learned * rates.learn_s + denoised * rates.pass_s

    def _passes_s(self, method: Method, job: Job) -> float | None:
        from harness.planning.calibrate import measure_network  # it imports torch

        side, amounts = job.spec["image_size"], self.amounts
        parts = method.passes(amounts.num_real, amounts.num_classes, job.spec["ipc"], side)
        if parts is None:
            return None
        total = 0.0
        for name, learned, passed in parts:
            student = self._teacher_of(method) if name == "teacher" else name
            if student is None:
                return None
            seen = self.resolved.suite.side if name == "teacher" else side
            rates = self._once(["network", student, seen], partial(measure_network, self.resolved, student, seen, job))
            assert rates is not None
            total += learned * rates.learn_s + passed * rates.pass_s
        return total

    def _teacher_of(self, method: Method) -> str | None:
        suites = self.resolved.suite.teacher
        return method.own_teacher() or (suites.student if suites else None)

    def _once(self, named: list[object], measure: Callable[[], Rates | None]) -> Rates | None:
        key = json.dumps(named, sort_keys=True, default=str)
        if key not in self._found:
            self._found[key] = measure()
        return self._found[key]
