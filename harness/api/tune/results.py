"""What a tuning leaves: the best options as requests, the comparison on the test split, tables, figures and a page.

In: a prepared tuning and its trials. Out: files in the tuning's folder. Only the comparison runs anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harness.api.run import execute_plan, prepare
from harness.api.tune.folder import Trial, TuningFolder, best_trial, trials_frame
from harness.api.tune.prepare import Prepared
from harness.api.tune.trial import merged
from harness.core.errors import UserError
from harness.core.io import write_text_atomically, writing
from harness.core.remote_runs import run_names
from harness.core.run_folder import RunFolder
from harness.core.text import times
from harness.planning.request import RunRequest
from harness.planning.request_file import request_text
from harness.reporters.runs import Run, as_frame
from harness.reporters.tuning.comparison import comparison
from harness.reporters.tuning.figures import write_figures
from harness.reporters.tuning.page import tuning_page
from harness.reporters.tuning.tables import MethodSummary, overview, pareto_table, trials_table

if TYPE_CHECKING:
    import pandas as pd

    from harness.reporters.tables.table import Table


@dataclass(frozen=True)
class Tuning:
    """A tuning that has ended.

    Attributes:
        name: its name under STORE/tunings.
        folder: what it left.
        trials: a row per trial (`harness.api.tune.folder.trials_frame`).
        best: options of each method's best whole trial; empty where that is the default.
        files: a request for the test split by name of its file: best.yaml, or one a method.
        tables: by name.
        runs: on the test split: that of the default options first.
        failed: trials that failed.
    """

    name: str
    folder: Path
    trials: pd.DataFrame
    best: dict[str, dict[str, Any]]
    files: dict[str, Path]
    tables: dict[str, Table]
    runs: tuple[Run, ...] = ()
    failed: int = field(default=0)

    @property
    def page(self) -> Path:
        """The page, one HTML file."""
        return TuningFolder(self.folder).page

    @property
    def exit_code(self) -> int:
        """0, or 1 where a method has no whole trial or a run failed."""
        whole = set(self.trials.loc[self.trials["status"] == "done", "method"])
        return 1 if set(self.trials["method"]) - whole or not whole or any(run.exit_code for run in self.runs) else 0


def best_requests(prepared: Prepared, best: dict[str, Trial]) -> dict[str, RunRequest]:
    """Return by file name the requests that hold the best options: one, or one a method where they differ in the protocol."""
    base = prepared.request.run
    if len(best) > 1 and any("protocol." in name for one in prepared.spaces for name in one.dimensions):
        return {f"best-{method}.yaml": _request(base, {method: trial}) for method, trial in best.items()}
    return {"best.yaml": _request(base, best)} if best else {}


def _request(base: RunRequest, best: dict[str, Trial]) -> RunRequest:
    settings = base.settings
    for trial in best.values():
        settings = merged(settings, trial.options if trial.number else {})
    return base.model_copy(update={"methods": tuple(best), "settings": settings, "name": None})


def finish(prepared: Prepared, folder: TuningFolder, console: Console) -> Tuning:
    """Write what the trials say, then compare default and best options on the test split, and write that too."""
    trials = folder.trials()
    best = {s.method: one for s in prepared.spaces if (one := best_trial(trials, s.method)) is not None}
    requests = best_requests(prepared, best)
    frame = trials_frame(trials)
    tables = _tables(prepared, folder.name, frame, best)
    with writing(folder.path):
        for name, request in requests.items():
            write_text_atomically(folder.path / name, request_text(request))
        write_text_atomically(folder.path / "trials.csv", frame.to_csv(index=False, lineterminator="\n"))
    _draw(prepared, folder, frame)
    _write(prepared, folder, frame, tables, requests)
    runs: tuple[Run, ...] = ()
    same = [method for method, trial in best.items() if trial.number == 0]
    if prepared.request.final and set(best) - set(same):
        runs = _final_runs(prepared, folder.name, best, requests, console)
        tables = {"comparison": _comparison(prepared, folder.name, runs, same), **tables}
        _write(prepared, folder, frame, tables, requests)
    options = {method: trial.options if trial.number else {} for method, trial in best.items()}
    files = {name: folder.path / name for name in requests}
    failed = sum(trial.status == "failed" for trial in trials)
    return Tuning(folder.name, folder.path, frame, options, files, tables, runs, failed)


def _tables(prepared: Prepared, name: str, frame: pd.DataFrame, best: dict[str, Trial]) -> dict[str, Table]:
    methods = []
    for space in prepared.spaces:
        trial = best.get(space.method)
        ranges = {option: str(dimension) for option, dimension in space.dimensions.items()}
        options = trial.options if trial else {}
        number = trial.number if trial else None
        methods.append(MethodSummary(space.method, ranges, options, number, notes=space.notes))
    methods += [MethodSummary(method, {}, {}, skipped=why) for method, why in prepared.skipped.items()]
    found = {"tuning": overview(name, frame, methods, prepared.request.metric)}
    if len(prepared.request.objectives) > 1:
        found["pareto"] = pareto_table(name, frame)
    return found | {"trials": trials_table(name, frame)}


def _final_runs(
    prepared: Prepared, name: str, best: dict[str, Trial], requests: dict[str, RunRequest], console: Console
) -> tuple[Run, ...]:
    """Run the default options, and then the best ones, as anybody would: on the test split."""
    default = prepared.request.run.model_copy(update={"methods": tuple(best), "name": None})
    runs = []
    for what, request in [("default", default), *(("tuned", request) for request in requests.values())]:
        taken = run_names(prepared.resolved.context.store)
        names = (f"{name}-{what}" if i == 1 else f"{name}-{what}-{i}" for i in itertools.count(1))
        own = request.model_copy(update={"name": next(one for one in names if one not in taken)})
        runs.append(execute_plan(*prepare(own), console))
    return tuple(runs)


def _comparison(prepared: Prepared, name: str, runs: Iterable[Run], same: list[str]) -> Table:
    before, *after = [RunFolder(run.folder).records for run in runs]
    wanted = {space.method for space in prepared.spaces}
    default, tuned = (
        as_frame([r for r in part if r["method"] in wanted]) for part in (before, list(itertools.chain(*after)))
    )
    return comparison(name, default, tuned, prepared.request.metric, same)


def _draw(prepared: Prepared, folder: TuningFolder, frame: pd.DataFrame) -> None:
    options = {space.method: tuple(space.dimensions) for space in prepared.spaces if space.dimensions}
    with writing(folder.path):
        write_figures(folder.figures, folder.name, frame, options, time=len(prepared.request.objectives) > 1)


def _write(
    prepared: Prepared,
    folder: TuningFolder,
    frame: pd.DataFrame,
    tables: dict[str, Table],
    requests: dict[str, RunRequest],
) -> None:
    """Write tables and page."""
    with writing(folder.path):
        folder.tables.mkdir(exist_ok=True)
        for stem, table in tables.items():
            table.save(folder.tables, stem)
        best = {name: request_text(request) for name, request in requests.items()}
        summary = (
            f"{times(len(frame), 'trial')} of {times(len(prepared.spaces), 'method')} on suite {prepared.resolved.suite.name}, "
            f"scored on {prepared.request.validation:.0%} of the training split."
        )
        about = prepared.request.model_dump(mode="json")
        page = tuning_page(folder.name, summary, tables, folder.figures, best, about)
        write_text_atomically(folder.page, page)


def check_free(folder: TuningFolder) -> None:
    """Refuse a folder that is a link: nothing is written through it.

    Raises:
        UserError: it is.
    """
    if folder.path.is_symlink():
        raise UserError(
            f"{folder.path} is a symbolic link, and the harness does not write through links. Choose another --name."
        )
