"""`harness test method NAME`: the conformance tests, for a method of one's own."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from harness.cli import options
from harness.core.errors import UserError
from harness.core.overrides import parse_overrides


def run_checks(
    kind: Annotated[str, typer.Argument(help="method")],
    name: Annotated[str, typer.Argument(help="its name")],
    plugin: options.Plugins = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Option of the method during the tests: `mine.rounds=2`; repeatable."),
    ] = None,
    suite: Annotated[str, typer.Option(help="Suite whose images the tests use.")] = "digits",
) -> int:
    """Run the conformance tests on a method: equal seeds, random numbers, nesting, counts, options, imports.

    It takes small generators, three classes and few steps: seconds. Exit code 1 where a check fails.

    Examples: `harness test method mine --plugin mine.py`, `harness test method mine --plugin folder --set mine.rounds=2`.
    """
    if kind != "method":
        raise UserError(f"cannot test a {kind!r}. Known: method.")
    from harness.testing.run import check_method  # it imports torch

    given = parse_overrides(settings or [])
    if other := sorted(given.keys() - {name}):
        raise UserError(f"--set {other[0]}: only options of method {name!r} apply here.")
    console = Console(soft_wrap=True, highlight=False)
    failed = 0
    for done in check_method(name, plugins=plugin or (), settings=given.get(name), suite=suite):
        mark, style = ("failed", "bold red") if done.problem else ("--", "dim") if done.skipped else ("ok", "green")
        failed += bool(done.problem)
        more = done.problem or done.skipped
        console.print(Text(f"{mark:<8}", style=style) + Text(done.name + (f": {more}" if more else "")))
    console.print(f"{name}: {f'{failed} checks failed' if failed else 'all checks passed'}")
    return 1 if failed else 0
