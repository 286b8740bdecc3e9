"""`harness verify`: is what the store holds still what was written?"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from harness.api.verify import Verification
from harness.api.verify import verify as check
from harness.cli import options
from harness.cli.consoles import plain, stderr, stdout
from harness.core.progress import ProgressCallback
from harness.core.text import byte_size, duration, times


def verify(
    run: Annotated[
        str | None, typer.Argument(help="Name or folder of a run: its records and what they stand on; default: all.")
    ] = None,
    store: options.Store = "results",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.")] = False,
    delete_damaged: Annotated[
        bool,
        typer.Option("--delete-damaged", help="Delete the artefacts that were found damaged and set aside earlier."),
    ] = False,
) -> int:
    """Check that what the store holds is what was written: files by their SHA-256 sums, manifests by their own.

    With RUN, each record is compared too with the training and the set that it was made from, so a number that somebody
    edited is named. Every file is read. Nothing is changed: the next `harness run` that needs a damaged artefact sets it aside
    and makes it again.

    Exit code 0: all is well. 1: something is damaged, missing or edited; a line says what.

    Examples: `harness verify`, `harness verify first --json`, `harness verify --store /mnt/results --delete-damaged`.
    """
    console = stderr()
    with console.status("") as status:

        def report(stage: str, done: int, total: int, unit: str) -> None:
            status.update(f"{done:,} of {total:,} artefacts")

        found = check(run, store, delete_damaged=delete_damaged, report=_seldom(report))
    if as_json:
        json.dump(found.as_json(), sys.stdout, indent=1)
        print()
    else:
        _print(found)
    return 0 if found.ok else 1


def _seldom(report: ProgressCallback) -> ProgressCallback:
    """Return what tells every hundredth artefact, and the last of a part."""

    def tell(stage: str, done: int, total: int, unit: str) -> None:
        if done % 100 == 0 or done == total:
            report(stage, done, total, unit)

    return tell


def _print(found: Verification) -> None:
    console = stdout(soft_wrap=True)
    for problem in found.problems:
        console.print(plain(f"{problem.state:<8} {problem.what}: {problem.told}"))
    if found.without_sum:
        made = times(len(found.without_sum), "artefact")
        console.print(f"note     {made} made before manifests had sums of their own: files compared, numbers not")
    if found.num_deleted:
        console.print(f"deleted  {times(found.num_deleted, 'artefact')} that had been set aside")
    for path in found.set_aside:
        console.print(plain(f"aside    {path} (found damaged earlier; --delete-damaged deletes it)"))
    states = [problem.state for problem in found.problems]
    bad = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "all is well"
    records = f"{times(found.num_records, 'record')}, " if found.num_records else ""
    size = f"{byte_size(found.num_bytes)}, checked in {duration(found.seconds)}"
    console.print(f"{records}{times(found.num_artefacts, 'artefact')}, {size}: {bad}")
