"""Which options are tried next: trials of one method under Ray Tune, each in an actor, written down as they end.

In: a method's space, the trials that finished earlier, a function that runs a trial. Out: further lines in the tuning's folder.
What Ray Tune itself writes lies in a temporary folder and is thrown away: a tuning goes on from its own lines and the store.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from harness.api.tune.actors import Resources, recorder, trial_actor
from harness.api.tune.folder import Trial, TuningFolder
from harness.api.tune.request import TuneRequest
from harness.api.tune.space import MethodSpace, Point, distributions, drawn, encoded, grid
from harness.api.tune.trial import TrialFunction
from harness.core import seeds

_STARTUP = 4
"""One trial in so many is drawn by chance before TPE begins, ten at most."""


class MethodSearch:
    """The trials of one method.

    Args:
        request: of the tuning.
        space: what is tuned.
        run: runs a trial.
        folder: where trials are written down.
        resources: of a trial.
        tell: told each trial that has ended.
    """

    def __init__(
        self,
        request: TuneRequest,
        space: MethodSpace,
        run: TrialFunction,
        folder: TuningFolder,
        resources: Resources,
        tell: Callable[[Trial], None],
    ) -> None:
        self.request, self.space, self.run_trial = request, space, run
        self.folder, self.resources, self.tell = folder, resources, tell

    def ended(self) -> list[Trial]:
        """Return the method's trials that have ended, in the order of their numbers."""
        return sorted((t for t in self.folder.trials() if t.method == self.space.method), key=lambda t: t.number)

    def listed(self) -> list[Point]:
        """Return all points of a sampler that draws them up front, the default first."""
        if self.request.sampler == "grid":
            others = grid(self.space, self.request.trials - 1)
        else:
            others = drawn(self.space, self.request.seed, self.request.trials - 1)
        return [self.space.default, *others]

    def run(self) -> None:
        """Run the trials that have not ended yet, as many as the request says; those that failed earlier once more."""
        failed = {trial.number: trial.options for trial in self.ended() if trial.status == "failed"}
        there = {trial.number for trial in self.ended()} - set(failed)
        if 0 not in there:  # to its end, whatever it scores: all others are compared with it
            self._fit_list([(0, self.space.default)], stop_early=False)
        if not self.space.dimensions:
            return
        if self.request.sampler == "tpe":
            self._fit_list([(i, point) for i, point in failed.items() if i], stop_early=True)
            self._fit_tpe()
        else:
            todo = [(i, point) for i, point in enumerate(self.listed()) if i and i not in there]
            self._fit_list(todo, stop_early=True)

    def _fit_list(self, todo: list[tuple[int, Point]], *, stop_early: bool) -> None:
        """Run points with their numbers."""
        from ray import tune

        if todo and self._time_left() != 0:
            texts = [json.dumps({"number": number, "options": point}) for number, point in todo]
            self._fit({"listed": tune.grid_search(texts)}, None, 1, stop_early=stop_early)

    def _fit_tpe(self) -> None:
        """Let TPE choose the missing trials; it is told of those that ended."""
        ended = self.ended()
        missing = self.request.trials - len(ended)
        if missing > 0 and self._time_left() != 0:
            self._fit(None, self._optuna(ended), missing, stop_early=True)

    def _optuna(self, ended: list[Trial]) -> Any:
        """Return Optuna's TPE, which knows the trials that ended; its seed depends on their number."""
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        several = len(self.request.objectives) > 1
        space, storage = distributions(self.space), optuna.storages.InMemoryStorage()
        directions: list[Any] = ["maximize", "minimize"][: len(self.request.objectives)]
        study = optuna.create_study(storage=storage, study_name="tuning", directions=directions)
        for trial in ended:
            if self.space.holds(trial.options):
                study.add_trial(self._as_optuna(trial, space))
        seed = seeds.derive("tpe", self.space.method, self.request.seed, len(ended)) % 2**32
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=max(1, min(10, self.request.trials // _STARTUP))
        )
        metric = ["score", "time_s"] if several else "score"
        mode = ["max", "min"] if several else "max"
        return OptunaSearch(
            space=space, metric=metric, mode=mode, sampler=sampler, storage=storage, study_name="tuning"
        )

    def _as_optuna(self, trial: Trial, space: dict[str, Any]) -> Any:
        """Return a trial that ended as Optuna knows it: one that was stopped counts with what it had, as Ray Tune tells it."""
        import optuna

        fields: dict[str, Any] = {"params": encoded(self.space, trial.options), "distributions": space}
        if trial.score is None or trial.time_s is None:
            return optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL, **fields)
        values = [trial.score, trial.time_s][: len(self.request.objectives)]
        return optuna.trial.create_trial(values=values, **fields)

    def _time_left(self) -> float | None:
        """Return the seconds that the method has left, shared by its workers; None: no limit."""
        if self.request.time_s is None:
            return None
        spent = sum(trial.wall_s for trial in self.ended())
        return max(0.0, (self.request.time_s - spent) / self.request.workers)

    def _fit(self, space: Any, search: Any, num: int, *, stop_early: bool) -> None:
        """Let Ray Tune run trials to the last; what it writes is thrown away."""
        from ray import tune

        place = tempfile.mkdtemp(prefix="harness-tune-")
        needs = {"cpu": self.resources.cpus, "gpu": self.resources.gpus}
        one_objective = len(self.request.objectives) == 1
        early = stop_early and one_objective and self.request.early_stopping
        config = tune.TuneConfig(
            search_alg=search,
            scheduler=_asha() if early else None,
            num_samples=num,
            max_concurrent_trials=self.request.workers,
            time_budget_s=self._time_left(),
            reuse_actors=True,
        )
        first = max((trial.number for trial in self.ended()), default=-1) + 1
        callback = recorder(self.space, self.end, first)
        none = tune.CheckpointConfig(checkpoint_at_end=False)  # what is worth keeping lies in the store
        run_config = tune.RunConfig(
            name="trials", storage_path=place, verbose=0, callbacks=[callback], checkpoint_config=none
        )
        trainable = tune.with_resources(trial_actor(self.run_trial, self.space), needs)
        try:
            tune.Tuner(trainable, param_space=space, tune_config=config, run_config=run_config).fit()
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def end(self, trial: Trial) -> None:
        """Write a trial down."""
        self.folder.add(trial)
        self.tell(trial)


def _asha() -> Any:
    """Return what stops a trial whose mean over its first 1, 2, 4, ... records is among the worse half of those before it."""
    from ray.tune.schedulers import ASHAScheduler

    return ASHAScheduler(
        time_attr="num_records", metric="score", mode="max", max_t=10**6, grace_period=1, reduction_factor=2
    )
