"""Check one method: what every method must do, on small tasks of the digits suite, in less than a minute."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.text import shorten
from harness.testing.checks import CHECKS, DECLARED, Failed, Subject
from harness.testing.tasks import quick_method, task_maker


@dataclass(frozen=True)
class Checked:
    """How one check ended.

    Attributes:
        name: what was checked.
        problem: what is wrong; empty where nothing is.
        skipped: why it does not apply; empty where it does.
    """

    name: str
    problem: str = ""
    skipped: str = ""


def check_method(
    name: str,
    *,
    plugins: str | Path | Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
    suite: str | Path = "digits",
) -> list[Checked]:
    """Run the conformance checks of the built-in methods on a method, and return the result of each check.

    Args:
        name: its registered name.
        plugins: files or folders that register it.
        settings: options of the method that override the fast test options, e.g. {"rounds": 2}.
        suite: source of the images (three of its classes); its generators are replaced by tiny ones.

    Raises:
        UserError: no such method, plugin, option or suite.

    Example:
        >>> import harness
        >>> [c.problem for c in harness.check_method("random_real")]  # doctest: +SKIP
    """
    discovery.discover()
    for path in [plugins] if isinstance(plugins, str | Path) else plugins:
        discovery.load_plugin(path)
    cls = discovery.methods.get(name)
    if cls.given:
        raise UserError(f"method {name!r} is an imported set: there is nothing to test.")
    method = quick_method(name, settings)
    needs = {*cls.needs, *(type(method.inner).needs if method.inner else ())}
    kinds = {need.removesuffix("_generator") for need in needs if need.endswith("_generator")}
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(name, task_maker(suite, Path(folder), kinds=kinds, small=True), settings or {})
        chosen = DECLARED if cls.all_data else tuple(CHECKS)
        return [_checked(one, subject) for one in chosen]


def _checked(name: str, subject: Subject) -> Checked:
    try:
        return Checked(name, skipped=CHECKS[name](subject) or "")
    except Failed as error:
        return Checked(name, str(error))
    except Exception as error:
        return Checked(name, f"{type(error).__name__}: {shorten(str(error), 500)}")
