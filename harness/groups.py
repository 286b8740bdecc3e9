"""Groups of suites: `--suite all`, a file in datasets/groups/, or names with commas; one run folder per suite.

In: what stands behind --suite. Out: the suites' runs one after the other, and one summary. A suite that cannot run keeps
its line, with the reason; the others run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import Field
from rich.console import Console

from harness.errors import UserError
from harness.files import data_folder
from harness.frozen import Frozen
from harness.suites import YAML_ENDINGS, checked, suite_names

if TYPE_CHECKING:
    from rich.table import Table

    from harness.plan import Plan
    from harness.request import RunRequest
    from harness.resolve import Resolved
    from harness.results import Run

ALL = "all"


class Group(Frozen):
    """Suites that are run together. Read from datasets/groups/NAME.yaml."""

    title: str = Field(description="one line for `harness list suites`")
    suites: tuple[str, ...] = Field(min_length=1, description="names of suites, in the order in which they run")


@dataclass(frozen=True)
class SuiteRun:
    """How one suite of a group ended: with a run, or with the reason why there is none."""

    suite: str
    run: Run | None = None
    error: str = ""

    @property
    def exit_code(self) -> int:
        """That of the run; 2 where the suite cannot run as asked."""
        return 2 if self.run is None else self.run.exit_code


@dataclass(frozen=True)
class GroupRun:
    """A group that has ended."""

    name: str
    suites: tuple[SuiteRun, ...]

    @property
    def exit_code(self) -> int:
        """The worst of the suites'."""
        return max(suite.exit_code for suite in self.suites)


def load_groups() -> dict[str, Group]:
    """Return the groups in datasets/groups/ by name, and `all`.

    Raises:
        UserError: a group's file is wrong.
    """
    groups = {ALL: Group(title="every suite", suites=tuple(suite_names()))}
    for path in sorted((data_folder("datasets") / "groups").glob("*.yaml")):
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"group file {path}: cannot be read: {error}") from None
        groups[path.stem] = checked(Group, values, f"group file {path}")
    return groups


def members(suite: str) -> tuple[str, ...] | None:
    """Return the suites that a name stands for: a group's, or those of "a,b"; None: it is one suite, or unknown."""
    if Path(suite).suffix in YAML_ENDINGS and Path(suite).is_file():
        return None  # not: any path, for a folder may be called as a group is
    names = [part.strip() for part in suite.split(",") if part.strip()]
    groups = load_groups()
    if len(names) == 1 and names[0] not in groups:
        return None
    return tuple(dict.fromkeys(s for name in names for s in (groups[name].suites if name in groups else (name,))))


def prepare_group(request: RunRequest, suites: tuple[str, ...]) -> dict[str, tuple[Resolved, Plan] | UserError]:
    """Check and plan a request for every suite of a group, before anything is run.

    Raises:
        UserError: it fits none of the suites.
    """
    from harness import api

    ready: dict[str, tuple[Resolved, Plan] | UserError] = {}
    for suite in suites:
        name = f"{request.name}-{Path(suite).stem}" if request.name else None
        try:
            ready[suite] = api.prepare(request.model_copy(update={"suite": suite, "name": name}))
        except UserError as error:
            ready[suite] = error
    reasons = [str(found) for found in ready.values() if isinstance(found, UserError)]
    if len(reasons) == len(ready):
        raise UserError("\n".join(dict.fromkeys(reasons)))
    return ready


def run_group(
    name: str,
    ready: dict[str, tuple[Resolved, Plan] | UserError],
    console: Console,
    after: Callable[[Run], None] = lambda run: None,
) -> GroupRun:
    """Run what `prepare_group` returned, one suite after the other.

    Args:
        name: of the group, for the summary.
        ready: the suites in order.
        console: where progress goes.
        after: told each run as soon as it has ended.
    """
    from harness import api

    ended = []
    for suite, found in ready.items():
        try:
            if isinstance(found, UserError):
                raise found
            console.print(f"suite {suite}", highlight=False)
            run = api.execute_plan(*found, console)
            ended.append(SuiteRun(suite, run))
            after(run)
        except UserError as error:
            ended.append(SuiteRun(suite, error=str(error)))
    return GroupRun(name, tuple(ended))


def summary(group: GroupRun) -> Table:
    """Return a line per suite: how it ended, how much was run, and where its results are."""
    from rich.table import Table
    from rich.text import Text

    from harness.format import shorten

    table = Table(title=Text(f"Summary: {group.name}"), title_justify="left", box=None, pad_edge=False)
    for column in ("suite", "status", "records", "jobs run", "failed", "run, or why there is none"):
        table.add_column(column, justify="right" if column in ("records", "jobs run", "failed") else "left")
    for suite in group.suites:
        run = suite.run
        if run is None:
            table.add_row(suite.suite, "not run", "0", "0", "0", Text(shorten(suite.error, 300)))
        else:
            jobs = [str(run.executed.get(state, 0)) for state in ("done", "failed")]
            status = "done" if run.exit_code == 0 else "failed"
            table.add_row(suite.suite, status, str(run.num_done), *jobs, Text(run.name))
    return table
