"""The methods of a request, each with its config or with the reason why it cannot run on this suite."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.plugin import discovery
from harness.core.plugin.plugin_files import PluginSource
from harness.diffusion import weights
from harness.planning.method_selection import needed_generators, select_methods, skip_unknown_classes
from harness.planning.plan import MethodPlan
from harness.planning.request import RunRequest
from harness.planning.resolve_suite import SuitePart


@dataclass(frozen=True)
class Methods:
    """The methods, and what they ask for.

    Attributes:
        plans: of every method of the request, skipped ones too.
        generators: the kinds of generator that they need, sorted.
        generator_labels: class ids of the suite's generators by kind, in the generator's own label order.
        plugins: texts of methods that were loaded earlier in this process, for workers.
    """

    plans: tuple[MethodPlan, ...]
    generators: tuple[str, ...]
    generator_labels: dict[str, tuple[str, ...]]
    plugins: tuple[PluginSource, ...]


def resolve_methods(request: RunRequest, part: SuitePart, device: str) -> Methods:
    """Choose the methods, with options as they run on "cpu" or "cuda"; one whose generator does not know the suite's classes is
    skipped.

    Raises:
        UserError: an unknown method or option.
    """
    labels = {kind: weights.label_ids(spec, part.file) for kind, spec in part.suite.generators.items()}
    chosen = select_methods(request, part.suite, part.protocol, device)
    plans = tuple(skip_unknown_classes(m, labels, part.classes) for m in chosen)
    each = [m for plan in plans for m in (plan, plan.inner) if m is not None]
    sources = (discovery.plugin_source(m.cls) for m in each if m.cls is not None)
    return Methods(plans, needed_generators(plans), labels, tuple(source for source in sources if source is not None))
