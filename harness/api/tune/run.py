"""Tune options of methods with equal budgets, on a part of the training split, and compare with the default in the end."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from harness.api.run_setup import checked_store
from harness.api.tune.actors import ray_for
from harness.api.tune.folder import Trial, TuningFolder
from harness.api.tune.prepare import Prepared, prepare_tuning
from harness.api.tune.request import TuneRequest, make_tune_request
from harness.api.tune.results import Tuning, check_free, finish
from harness.api.tune.search import MethodSearch
from harness.api.tune.trial import OrdinaryTrials, TrialFunction
from harness.core.text import duration, times, without_controls


def tune(*, console: Console | None = None, **fields: Any) -> Tuning:
    """Tune methods and return the result.

    Args:
        console: output for progress; None: standard error.
        **fields: fields of `TuneRequest` (trials, time ("2h"), metric, sampler, space ({"minimax.lambda_r": "log(1e-4,1e-1)"}),
            tune_protocol, objectives, validation, validation_seed, seed, workers, early_stopping, name, final) and of a run
            (methods, suite, ipc, students, protocol, seeds, settings, plugins, device, store, ...).

    Raises:
        UserError: the request is wrong; nothing was written.

    Examples:
        >>> import harness
        >>> found = harness.tune(methods="minimax", suite="digits", ipc=10, trials=20)  # doctest: +SKIP
        >>> found.best["minimax"]  # doctest: +SKIP
    """
    return run_tuning(prepare_tuning(make_tune_request(**fields)), console or Console(stderr=True))


def run_tuning(prepared: Prepared, console: Console, trial: TrialFunction | None = None) -> Tuning:
    """Run the trials that have not ended yet, method by method, and write what comes out.

    Args:
        prepared: what was checked.
        console: told each trial.
        trial: runs one; None: the ordinary jobs.
    """
    request, store = prepared.request, checked_store(prepared.resolved, prepared.plan)
    folder = TuningFolder(store.root / "tunings" / prepared.name)
    check_free(folder)
    folder.begin({"request": request.model_dump(mode="json"), "same": prepared.same})
    ended = folder.trials()
    console.print(f"tuning {folder.name}: {times(len(ended), 'trial')} finished earlier", highlight=False)
    for space in prepared.spaces:
        for note in space.notes:
            console.print(Text(without_controls(note)), soft_wrap=True)
    resources = prepared.resources()
    with ray_for(request.workers, resources):
        for space in prepared.spaces:
            teller = _Teller(space.method, request, console)
            MethodSearch(request, space, trial or OrdinaryTrials(request), folder, resources, teller).run()
    return finish(prepared, folder, console)


class _Teller:
    """Prints a line for each trial that ended."""

    def __init__(self, method: str, request: TuneRequest, console: Console) -> None:
        self.method, self.request, self.console = method, request, console

    def __call__(self, trial: Trial) -> None:
        """Tell of one."""
        options = ", ".join(f"{name}={value}" for name, value in trial.options.items())
        score = "" if trial.score is None else f" {trial.score:.2f} %"
        part = (
            "" if trial.num_records == trial.of_records else f" after {trial.num_records} of {trial.of_records} records"
        )
        text = f"{self.method} trial {trial.number}: {trial.status}{part}{score} in {duration(trial.wall_s)}; {options}"
        line = f"{text}{': ' + trial.error if trial.error else ''}"
        self.console.print(Text(without_controls(line)), soft_wrap=True)
