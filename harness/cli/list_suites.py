"""`harness list suites`: every suite with its size, its source, and whether its data and weights are here; then groups.

A glance, not a check: nothing is opened but the suites' own files. `harness data check` and `harness doctor` look inside.
"""

from __future__ import annotations

from pathlib import Path

from harness.core import hub
from harness.core.classes import read_class_list
from harness.core.config.suite import Suite
from harness.core.errors import UserError
from harness.core.suites import SuiteFile, load_suite, suite_names
from harness.core.text import byte_size
from harness.data.sources.base import open_source
from harness.diffusion import weights
from harness.planning.groups import ALL, load_groups

COLUMNS = ("suite", "classes", "images", "size", "source", "data", "weights", "budget", "what")


def suite_rows(data_root: str, weights_root: str | None) -> list[tuple[str, ...]]:
    """Return a row per suite and one per group, in the order of `COLUMNS`."""
    rows = [_suite_row(name, data_root, weights_root) for name in suite_names()]
    for name, group in load_groups().items():
        members = "every suite above" if name == ALL else ", ".join(group.suites)
        rows.append((name, "", "", "", f"group: {members}", "", "", "", group.title))
    return rows


def _suite_row(name: str, data_root: str, weights_root: str | None) -> tuple[str, ...]:
    try:
        file = load_suite(name)
        classes = read_class_list(file.class_list)
        source = open_source(file.suite.source, tuple(c.id for c in classes), Path(data_root))
    except UserError as error:
        return (name, "", "", "", "", "", "", "", f"cannot be read: {error}")
    suite = file.suite
    root = suite.source.get("root")
    return (
        name,
        str(len(classes)),
        _num_images(suite),
        f"{suite.image_size} px",
        f"{suite.source['kind']} {root}" if root else f"{suite.source['kind']}, embedded",
        "here" if source.is_here() else "not here",
        _weights(file, data_root, weights_root),
        budget_text(suite),
        suite.title,
    )


def _num_images(suite: Suite) -> str:
    """Return the stated images, as "1,257 train, 540 test"."""
    return ", ".join(f"{num:,} {split}" for split, num in suite.num_images.items()) or "not stated"


def budget_text(suite: Suite) -> str:
    """Return the IPCs of a suite, or its budgets in bytes."""
    ipc = ", ".join(map(str, suite.budget.ipc))
    return f"IPC {ipc}" if ipc else ", ".join(byte_size(size) for size in suite.budget.bytes)


def _weights(file: SuiteFile, data_root: str, weights_root: str | None) -> str:
    """Return whether all parts of the suite's pre-trained generators are here, or which generators lack some."""
    given = {kind: spec for kind, spec in file.suite.generators.items() if spec.weights}
    lacking = []
    for kind, spec in given.items():
        places = weights.locate(spec, file, data_root, weights_root)
        parts = [part for part in weights.PARTS if getattr(spec, part)]
        if not all(hub.on_disk(getattr(places, part)) for part in parts):
            lacking.append(kind)
    if lacking:
        return f"not here: {', '.join(lacking)}"
    if given:
        return "here"
    return "trained by the run" if file.suite.generators else "none needed"
