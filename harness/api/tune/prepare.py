"""Check a tuning before anything is run or written: its methods, the space of each, and what must be equal to go on.

In: a request. Out: a `Prepared` tuning, or one message.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from harness.api.run import prepare
from harness.api.tune.actors import Resources
from harness.api.tune.folder import check_name
from harness.api.tune.request import TuneRequest
from harness.api.tune.space import MethodSpace, grid, method_space, with_protocol
from harness.core.errors import UserError, did_you_mean
from harness.core.io import canonical_json
from harness.core.plugin import discovery
from harness.planning.groups import members
from harness.planning.plan import MethodPlan, Plan
from harness.planning.resolve import Resolved

_PLACES = (
    "store", "data_root", "weights_root", "device", "executor", "workers", "retries", "job_timeout", "ray_address",
    "wait_for_nodes", "name", "methods", "reference",
)  # fmt: skip
"""Fields of a run that change no trial; `methods` stands in the spaces."""


@dataclass(frozen=True)
class Prepared:
    """A tuning that can begin.

    Attributes:
        resolved, plan: of the methods' defaults on the validation part.
        spaces: of each method that can run here.
        skipped: why each other method cannot.
        same: what must be equal for trials to count in one tuning.
    """

    request: TuneRequest
    resolved: Resolved
    plan: Plan
    spaces: tuple[MethodSpace, ...]
    skipped: dict[str, str]
    same: dict[str, Any]

    @property
    def name(self) -> str:
        """Return the name of the tuning: equal requests have equal ones."""
        digest = hashlib.sha256(canonical_json(self.same).encode()).hexdigest()[:8]
        return self.request.name or f"{self.resolved.suite.name}-{digest}"

    def resources(self) -> Resources:
        """Return what a trial asks for: the most that one of its jobs does."""
        jobs = [job.resources for job in self.plan.jobs.values()]
        on_gpu = self.resolved.context.device.startswith("cuda")
        gpus = max((job.gpus or 1 for job in jobs), default=0) if on_gpu else 0
        return Resources(max((job.cpus for job in jobs), default=1), gpus)


def prepare_tuning(request: TuneRequest) -> Prepared:
    """Check everything.

    Raises:
        UserError: the first thing that is wrong; nothing was written.
    """
    check_name(request.name)
    if members(request.run.suite) is not None:
        raise UserError(f"--suite {request.run.suite}: several suites given; tuning uses one suite.")
    update = {"validation": request.validation, "validation_seed": request.validation_seed}
    resolved, plan = prepare(request.run.model_copy(update={**update, "executor": "ray", "reference": False}))
    methods = [m for m in resolved.plan_input.methods if not _all_data(m, request)]
    _check_targets(request, methods)
    skipped = {m.name: m.skip for m in methods if m.skip}
    spaces = tuple(_space(request, resolved, m) for m in methods if not m.skip)
    if not spaces:
        raise UserError("no method can be tuned here: " + "; ".join(f"{name}: {why}" for name, why in skipped.items()))
    if request.sampler == "grid":
        for space in spaces:
            grid(space, request.trials - 1)
    return Prepared(request, resolved, plan, spaces, skipped, _same(request, resolved, spaces))


def _all_data(method: MethodPlan, request: TuneRequest) -> bool:
    """Return whether a method stands for the full data, which `all` leaves out.

    Raises:
        UserError: it was named.
    """
    found = method.cls is not None and method.cls.all_data
    if found and method.name in request.run.methods:
        raise UserError(f"--methods {method.name}: it trains on all real images; there is no distillation to tune.")
    return found


def _check_targets(request: TuneRequest, methods: list[MethodPlan]) -> None:
    known = [*(m.name for m in methods), "protocol"]
    for name in request.space:
        target = name.partition(".")[0]
        if target not in known:
            every = [*discovery.methods.names(), "protocol"]
            why = "not a method of this tuning" if target in every else "no method"
            raise UserError(
                f"--space {name}: {target!r} is {why}.{did_you_mean(target, known)} Known: {', '.join(known)}."
            )


def _space(request: TuneRequest, resolved: Resolved, method: MethodPlan) -> MethodSpace:
    assert method.cls is not None
    fixed = request.run.settings.get(method.name, {})
    texts = _of(request, method.name)
    space = method_space(method.cls, method.name, method.config, fixed, texts)
    protocol = _of(request, "protocol")
    if request.tune_protocol or protocol:
        space = with_protocol(space, resolved.plan_input.protocol, request.tune_protocol, protocol)
    return space


def _of(request: TuneRequest, target: str) -> dict[str, str]:
    return {name.partition(".")[2]: text for name, text in request.space.items() if name.partition(".")[0] == target}


def _same(request: TuneRequest, resolved: Resolved, spaces: tuple[MethodSpace, ...]) -> dict[str, Any]:
    """Return what decides which trials there are and what each of them measures."""
    own = request.model_dump(mode="json", exclude={"run", "trials", "time_s", "workers", "name", "final", "space"})
    if request.sampler == "grid":
        own["trials"] = request.trials
    run = {name: value for name, value in request.run.model_dump(mode="json").items() if name not in _PLACES}
    code = {m.name: m.code for m in resolved.plan_input.methods}
    return {
        **own,
        "run": run,
        "device": resolved.context.device,
        "data": resolved.plan_input.data_fingerprint,
        "protocol": resolved.plan_input.protocol.model_dump(mode="json"),
        "methods": {
            space.method: {
                "space": {name: str(dimension) for name, dimension in space.dimensions.items()},
                "default": space.default,
                "code": code[space.method],
            }
            for space in spaces
        },
    }
