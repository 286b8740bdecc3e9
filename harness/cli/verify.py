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
        str | None,
        typer.Argument(
            help="Name or folder of a run: check its records and the artefacts they depend on; default: everything."
        ),
    ] = None,
    store: options.Store = "results",
    as_json: Annotated[bool, typer.Option("--json", help="Print only the findings, as JSON.")] = False,
    delete_damaged: Annotated[
        bool,
        typer.Option("--delete-damaged", help="Delete artefacts that were found damaged and moved aside earlier."),
    ] = False,
) -> int:
    """Check that the store's files are unchanged: SHA-256 checksums of all files, and of the manifests.

    With RUN, each record is compared too with the training and the set that it was made from, so a number that somebody
    edited is named. Every file is read. Nothing is changed: the next `harness run` that needs a damaged artefact sets
    it aside and makes it again.

    Exit code 0: no problems found. 1: something is damaged, missing or edited; a line says what.

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
        console.print(f"note     {made} from before manifests had checksums: files were compared, numbers were not")
    if found.num_deleted:
        console.print(f"deleted  {times(found.num_deleted, 'artefact')} that had been moved aside")
    for path in found.set_aside:
        console.print(plain(f"aside    {path} (found damaged earlier; --delete-damaged deletes it)"))
    states = [problem.state for problem in found.problems]
    bad = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "no problems found"
    records = f"{times(found.num_records, 'record')}, " if found.num_records else ""
    size = f"{byte_size(found.num_bytes)}, checked in {duration(found.seconds)}"
    console.print(f"{records}{times(found.num_artefacts, 'artefact')}, {size}: {bad}")
