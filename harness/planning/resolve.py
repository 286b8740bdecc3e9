"""Turn what a user asked for into a checked plan input: every name known, every value allowed, the data found.

All mistakes surface here, before the store is touched or a job is started.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.core.config.suite import Suite
from harness.jobs.context import JobContext
from harness.planning.plan import PlanInput
from harness.planning.request import RunRequest
from harness.planning.resolve_data import Data, local_device, resolve_data
from harness.planning.resolve_methods import Methods, resolve_methods
from harness.planning.resolve_protocols import Protocols, resolve_protocols
from harness.planning.resolve_suite import SuitePart, resolve_suite
from harness.planning.resolve_weights import Weights, generator_fingerprints, resolve_weights, teacher_fingerprint


@dataclass(frozen=True)
class Resolved:
    """A request that can be planned and run.

    Attributes:
        class_counts: real training images of every class in label order, where the suite asks for head and tail.
        protocol_changes: how the protocol differs from the suite's protocol of that name, for people.
    """

    request: RunRequest
    suite: Suite
    plan_input: PlanInput
    context: JobContext
    source_text: str
    class_counts: tuple[int, ...] = ()
    protocol_changes: str = ""


def resolve(request: RunRequest, device: str | None = None, *, say: Callable[[str], object] | None = None) -> Resolved:
    """Check every part of a request against what exists.

    Args:
        request: what to run.
        device: "cpu" or "cuda", of the machines that will run the jobs; None: as the request says, on this machine.
        say: told that the data are read, once names and values are checked.

    Raises:
        UserError: the first part that is wrong, with what to do.
    """
    suite = resolve_suite(request)
    device = device or local_device(request.device)
    methods = resolve_methods(request, suite, device)
    if say:
        say(f"reading the data of {suite.suite.name} ...")
    data = resolve_data(request, suite)
    weights = resolve_weights(request, suite, methods)
    protocols = resolve_protocols(request, suite, methods, device)
    plan_input = _plan_input(suite, methods, data, weights, protocols, device)
    context = _context(request, suite, methods, data, weights, device)
    return Resolved(request, suite.suite, plan_input, context, data.about, data.class_counts, protocols.changes)


def _plan_input(
    suite: SuitePart, methods: Methods, data: Data, weights: Weights, protocols: Protocols, device: str
) -> PlanInput:
    """Return what keys are made of."""
    return PlanInput(
        suite=suite.suite,
        classes=suite.classes,
        methods=methods.plans,
        students=suite.students,
        protocol=protocols.students,
        teacher_protocol=protocols.teacher,
        data_fingerprint=data.fingerprint,
        variants=protocols.variants,
        generator_fingerprints=generator_fingerprints(weights, methods),
        teacher_fingerprint=teacher_fingerprint(weights),
        device=device,
    )


def _context(
    request: RunRequest, suite: SuitePart, methods: Methods, data: Data, weights: Weights, device: str
) -> JobContext:
    """Return what jobs need and no key contains: where things are."""
    return JobContext(
        store_uri=_absolute(request.store),
        source=data.source,
        data_root=data.root,
        data_fingerprint=data.fingerprint,
        classes=suite.classes,
        generators=weights.generators,
        generator_labels=methods.generator_labels,
        teacher=weights.teacher,
        teacher_labels=weights.teacher_labels,
        device=device,
        channels=suite.suite.channels,
        plugins=tuple(dict.fromkeys([*suite.plugins, *methods.plugins])),
        fresh=request.fresh,
    )


def _absolute(store: str) -> str:
    return store if "://" in store else str(Path(store).resolve())
