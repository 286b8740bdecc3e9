"""What `harness doctor` says of suites in a few lines: which can run, what the others lack, and the command for each."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.cli.list_suites import family_name
from harness.core.errors import UserError
from harness.core.suites import families, load_suite
from harness.core.text import shorten
from harness.data.fetch.suite_data import can_fetch

Part = tuple[str, str, bool]
"""What is needed, where it is or how to get it, and whether it is here."""

DOWNLOADED = ": not on this machine; the first run downloads it"
"""How the text ends of weights that nobody needs to bring."""


def for_suites(suites: list[str]) -> str:
    """Return what needs a part: "for: digits, cifar10_lt [_if10 _if20]"."""
    return f"for: {named(suites)}"


def named(suites: list[str]) -> str:
    """Return suites with commas, a family that is there whole as one: "digits, cifar10_lt [_if10 _if20]"."""
    whole = {base: family_name(base, others) for base, others in families().items() if {base, *others} <= set(suites)}
    others = {name for base, names in families().items() if base in whole for name in names}
    return ", ".join(whole.get(name, name) for name in suites if name not in others)


def print_ready(console: Console, ready: list[str], num: int) -> None:
    """Print which suites have their images, and a command that runs one.

    Args:
        console: where to.
        ready: suites whose images are here.
        num: of all suites.
    """
    console.print(
        Text(f"{len(ready)} of {num} suites can run here{': ' + named(ready) if ready else ''}", style="bold")
    )
    if ready:
        console.print(Text(f" harness run --suite {ready[0]}"), soft_wrap=True)
    console.print()


def print_missing(console: Console, missing: Mapping[Part, list[str]]) -> None:
    """Print what suites lack: images to fetch, images to bring, weights that a run downloads, and what is wrong.

    Args:
        console: where to.
        missing: part -> the suites that need it.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for (what, text, _), suites in missing.items():
        title, command = _place(what, text, suites[0])
        groups.setdefault(title, {}).setdefault(command, suites)
    for title in (_FETCH, _BRING, _LOAD, _WRONG):
        if title not in groups:
            continue
        console.print(Text(title, style="bold"))
        table = Table(box=None, pad_edge=False, show_header=False)
        for _ in range(3):
            table.add_column(overflow="fold")
        for command, needed_by in _joined(groups[title]).items():
            if command.startswith("harness "):
                table.add_row("", Text(command), Text(f"for {needed_by}"))
            else:  # names are long: what needs them stands below
                console.print(Padding(Text(command, overflow="fold"), (0, 0, 0, 1)))
                console.print(Padding(Text(f"for {needed_by}"), (0, 0, 0, 3)))
        if table.row_count:
            console.print(table)
        console.print()
    if groups:
        console.print(Text("`harness doctor --all` shows where each part is searched."))


_FETCH = "images that a command downloads"
_BRING = "images to get yourself: the command says from where, and which folder to use"
_LOAD = "weights that the first run downloads"
_WRONG = "wrong"


def _place(what: str, text: str, suite: str) -> tuple[str, str]:
    """Return the group of a missing part, and the command or the text for it."""
    if what == "data":
        fetched = _can_fetch(suite)
        return (_FETCH if fetched else _BRING), f"harness data {'fetch' if fetched else 'check'} {suite}"
    if text.endswith(DOWNLOADED):
        return _LOAD, text.removesuffix(DOWNLOADED)
    return _WRONG, shorten(f"{what}: {text}", 200)


def _can_fetch(suite: str) -> bool:
    try:
        return can_fetch(load_suite(suite))
    except UserError:
        return False


def _joined(commands: Mapping[str, list[str]]) -> dict[str, str]:
    """Return text -> suites; parts that the same suites need stand together, commands apart."""
    by_suites: dict[str, list[str]] = {}
    for command, suites in commands.items():
        key = named(suites)
        by_suites.setdefault(f"{command}\0{key}" if command.startswith("harness ") else key, []).append(command)
    return {", ".join(texts): key.rpartition("\0")[2] for key, texts in by_suites.items()}
