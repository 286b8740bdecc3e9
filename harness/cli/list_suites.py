"""`harness list suites`: a line for each suite and its variants: its size, and whether data and weights are here; then groups.

A glance, not a check: nothing is opened but the suites' own files. `harness data check` and `harness doctor` look inside,
and `harness show suite` prints all of one.
"""

from __future__ import annotations

from pathlib import Path

from harness.core import hub
from harness.core.classes import read_class_list
from harness.core.config.suite import Suite
from harness.core.errors import UserError
from harness.core.suites import SuiteFile, families, load_suite
from harness.core.text import byte_size
from harness.data.sources.base import open_source
from harness.diffusion import weights
from harness.planning.groups import ALL, load_groups

COLUMNS = ("suite", "classes", "train", "size", "data", "weights", "what")


def suite_rows(data_root: str, weights_root: str | None) -> list[tuple[str, ...]]:
    """Return a row per suite, with its variants in it, and one per group, in the order of `COLUMNS`."""
    rows = []
    for name, variants in families().items():
        *cells, title = _suite_row(name, data_root, weights_root)
        others = family_name(name, variants).removeprefix(name).strip()
        rows.append((*cells, f"{others} {title}".strip()))
    for name, group in load_groups().items():
        members = "" if name == ALL else f": {', '.join(group.suites)}"
        rows.append((name, "", "", "", "", "", f"group, {group.title}{members}"))
    return rows


def family_name(base: str, variants: tuple[str, ...]) -> str:
    """Return the name of a suite and what its variants add to it: "cifar10_lt [_if10 _if20]"."""
    return f"{base} [{' '.join(variant.removeprefix(base) for variant in variants)}]" if variants else base


def _suite_row(name: str, data_root: str, weights_root: str | None) -> tuple[str, ...]:
    try:
        file = load_suite(name)
        classes = read_class_list(file.class_list)
        source = open_source(file.suite.source, tuple(c.id for c in classes), Path(data_root))
    except UserError as error:
        return (name, "", "", "", "", "", f"cannot be read: {error}")
    suite = file.suite
    return (
        name,
        str(len(classes)),
        f"{suite.num_images['train']:,}" if "train" in suite.num_images else "",
        f"{suite.image_size} px",
        "here" if source.is_here() else "not here",
        _weights(file, data_root, weights_root),
        suite.title,
    )


def num_images(suite: Suite) -> str:
    """Return the stated images, as "1,257 train, 540 test"."""
    return ", ".join(f"{num:,} {split}" for split, num in suite.num_images.items()) or "not stated"


def budget_text(suite: Suite) -> str:
    """Return the IPCs of a suite, or its budgets in bytes."""
    ipc = ", ".join(map(str, suite.budget.ipc))
    return f"IPC {ipc}" if ipc else ", ".join(byte_size(size) for size in suite.budget.bytes)


def _weights(file: SuiteFile, data_root: str, weights_root: str | None) -> str:
    """Return whether all parts of the suite's pre-trained generators are here; "trained": the run trains them."""
    given = [spec for spec in file.suite.generators.values() if spec.weights]
    for spec in given:
        places = weights.locate(spec, file, data_root, weights_root)
        if not all(hub.on_disk(getattr(places, part)) for part in weights.PARTS if getattr(spec, part)):
            return "not here"
    if given:
        return "here"
    return "trained" if file.suite.generators else "none"
