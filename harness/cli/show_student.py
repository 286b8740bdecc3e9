"""`harness show student`: what a student's name means, and the suites that train it. Imports no torch."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.cli.missing import named
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.suites import load_suite, suite_names
from harness.students.spec import catalogue, parse

_SIZES = {"imagenet": "64 to 512 channels", "cifar": "32 to 256 channels (suffix _cifar)"}
_NORMS = {"instance": "instance norm", "batch": "batch norm (suffix _bn)"}


def print_student(name: str, console: Console, *, plugins: list[str]) -> None:
    """Print the parts of a student's name, what its family is, and which suites train it.

    Raises:
        UserError: no such student.
    """
    discovery.discover()
    for path in plugins:
        discovery.load_plugin(path)
    spec = parse(name)
    about = dict(catalogue())
    words = {"convnet": "convnet<D>", "resnet": "resnet<D>", "resnet_ap": "resnet_ap<D>", "timm": "timm:NAME"}
    lines = {"family": about.get(words.get(spec.family, spec.family), "registered by a plugin")}
    if spec.depth is not None:
        lines["depth"] = str(spec.depth)
    if spec.family in ("convnet", "resnet", "resnet_ap"):
        lines["norm"] = _NORMS[spec.norm]
    if spec.family in ("resnet", "resnet_ap"):
        lines["widths"] = _SIZES[spec.variant]
    lines["suites"] = named(_suites(name)) or "not trained by default in any suite"
    lines["run"] = f"harness run --suite digits --students {name}"
    console.print(Text(name, style="bold"))
    for label, text in lines.items():
        console.print(Text(f"{label:<9}{text}"))


def _suites(name: str) -> list[str]:
    """Return the suites that train a student unless told otherwise."""
    found = []
    for suite in suite_names():
        try:
            if name in load_suite(suite).suite.students:
                found.append(suite)
        except UserError:  # a file of it is wrong; other commands say so
            continue
    return found
