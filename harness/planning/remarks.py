"""What a user should know of a request before it runs: settings without effect, and what runs unasked. One line each."""

from __future__ import annotations

from harness.core.overrides import without_effect
from harness.planning.resolve import Resolved
from harness.training.protocols import unused_settings


def remarks(resolved: Resolved) -> list[str]:
    """Return a line for each setting that has no effect, and for each method that was added for comparison."""
    settings, given = resolved.request.settings, resolved.plan_input
    lines = without_effect(settings, given.method_names())
    lines += unused_settings(given.protocol, settings.get("protocol", {}))
    lines += [
        f"{m.name} is added as a reference: what soft labels achieve without distillation (--no-reference omits it)"
        for m in given.methods
        if m.unasked
    ]
    return lines
