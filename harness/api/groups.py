"""Run a request for several suites, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from harness.api import run as api_run
from harness.core.errors import UserError
from harness.core.suites import short_name
from harness.execution.device import choose_device

if TYPE_CHECKING:
    from harness.planning.plan import Plan
    from harness.planning.request import RunRequest
    from harness.planning.resolve import Resolved
    from harness.reporters.runs import Run


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


def prepare_group(request: RunRequest, suites: tuple[str, ...]) -> dict[str, tuple[Resolved, Plan] | UserError]:
    """Check and plan a request for every suite of a group, before anything is run.

    Raises:
        UserError: it fits none of the suites.
    """
    ready: dict[str, tuple[Resolved, Plan] | UserError] = {}
    device = choose_device(request)
    for suite in suites:
        name = f"{request.name}-{short_name(suite)}" if request.name else None
        try:
            ready[suite] = api_run.prepare(request.model_copy(update={"suite": suite, "name": name}), device)
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
    ended = []
    for suite, found in ready.items():
        try:
            if isinstance(found, UserError):
                raise found
            console.print(f"suite {suite}", highlight=False)
            run = api_run.execute_plan(*found, console)
            ended.append(SuiteRun(suite, run))
            after(run)
        except UserError as error:
            ended.append(SuiteRun(suite, error=str(error)))
    return GroupRun(name, tuple(ended))
