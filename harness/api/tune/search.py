"""Which options are tried next: trials of one method under Ray Tune, each in an actor, written down as they end.

In: a method's space, the trials that ended earlier, a function that runs a trial. Out: further lines in the tuning's folder.
What Ray Tune itself writes lies in a temporary folder and is thrown away: a tuning goes on from its own lines and the store.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from harness.api.tune.folder import Trial, TuningFolder
from harness.api.tune.request import TuneRequest
from harness.api.tune.space import MethodSpace, Point, decoded, distributions, drawn, encoded, grid
from harness.api.tune.trial import TrialFunction
from harness.core import seeds
from harness.execution.ray.join import join

_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the command, as that of a run
    "TUNE_WARN_THRESHOLD_S": "1000",
    "RAY_AIR_NEW_OUTPUT": "0",
}

_STARTUP = 4
"""One trial in so many is drawn by chance before TPE begins, ten at most."""


@dataclass(frozen=True)
class Resources:
    """What one trial asks of Ray."""

    cpus: float = 1.0
    gpus: float = 0.0


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
        """Run the trials that have not ended yet, as many as the request says."""
        there = {trial.number for trial in self.ended()}
        if 0 not in there:  # to its end, whatever it scores: all others are compared with it
            self._fit_list([(0, self.space.default)], stop_early=False)
        if not self.space.dimensions:
            return
        if self.request.sampler == "tpe":
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
        callback = recorder(self, first=max((trial.number for trial in self.ended()), default=-1) + 1)
        none = tune.CheckpointConfig(checkpoint_at_end=False)  # what is worth keeping lies in the store
        run_config = tune.RunConfig(
            name="trials", storage_path=place, verbose=0, callbacks=[callback], checkpoint_config=none
        )
        trainable = tune.with_resources(_trainable(self.run_trial, self.space), needs)
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


def _point(config: dict[str, Any], space: MethodSpace) -> Point:
    """Return the values of the options that Ray Tune asks for."""
    if "listed" in config:
        return dict(json.loads(config["listed"])["options"])
    return decoded(space, config)


def _trainable(run: TrialFunction, space: MethodSpace) -> Any:
    """Return the actor of a trial. A class of Ray Tune's, because its steps run in the main thread, as every job does."""
    from ray import tune

    class TrialActor(tune.Trainable):  # type: ignore[misc, unused-ignore]
        def setup(self, config: dict[str, Any]) -> None:
            self.reports = run(space.method, _point(config, space))
            self.wall_s = 0.0

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.setup(new_config)
            return True

        def step(self) -> dict[str, Any]:
            began = time.monotonic()
            report = next(self.reports, None)
            if report is None:
                raise RuntimeError("it has no record")
            self.wall_s += time.monotonic() - began
            values = asdict(report)
            done = report.num_records == report.of_records
            return {**values, "jobs": json.dumps(values["jobs"]), "wall_s": self.wall_s, "done": done}

    return TrialActor


class _Here:
    """Keeps a search out of what Ray Tune pickles of its callbacks, which nobody reads."""

    def __init__(self, search: MethodSearch) -> None:
        self.search = search

    def __getstate__(self) -> dict[str, Any]:
        return {}


def recorder(search: MethodSearch, first: int) -> Any:
    """Return a callback of Ray Tune that writes each trial down as it ends.

    Args:
        search: what the trials belong to.
        first: number of the first one that has none yet; they are numbered as they begin.
    """
    from ray import tune

    here = _Here(search)
    del search

    class Recorder(tune.Callback):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            self.numbers: dict[str, int] = {}
            self.last: dict[str, dict[str, Any]] = {}

        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            own = (
                json.loads(trial.config["listed"])["number"] if "listed" in trial.config else first + len(self.numbers)
            )
            self.numbers.setdefault(trial.trial_id, own)

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
            if "score" in result:
                self.last[trial.trial_id] = result

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self._end(trial, "")

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self._end(trial, _told(trial))

        def _end(self, trial: Any, error: str) -> None:
            number = self.numbers.get(trial.trial_id)
            result = self.last.get(trial.trial_id)
            if number is None or (result is None and not error):
                return  # the time was over before it had a record
            space = here.search.space
            here.search.end(_as_trial(space.method, number, _point(trial.config, space), result or {}, error))

    return Recorder()


def _as_trial(method: str, number: int, point: Point, result: dict[str, Any], error: str) -> Trial:
    num, of = result.get("num_records", 0), result.get("of_records", 0)
    return Trial(
        method=method,
        number=number,
        options=point,
        status="failed" if error else "done" if num == of else "stopped",
        score=None if error else result["score"],
        time_s=None if error else result["time_s"],
        num_records=num,
        of_records=of,
        wall_s=result.get("wall_s", 0.0),
        jobs=json.loads(result.get("jobs", "{}")),
        error=error,
    )


def _told(trial: Any) -> str:
    """Return in one line why a trial failed: its own words are in the last line of what Ray says."""
    error = trial.get_error()
    lines = [line for line in str(error or "").splitlines() if line.strip()]
    return lines[-1].strip()[:2000] if lines else "its process ended without a word"


@contextlib.contextmanager
def ray_for(workers: int, resources: Resources) -> Iterator[None]:
    """Start a Ray of this tuning, unless one runs in this process already; Tune's own messages stay away.

    Raises:
        UserError: it cannot be started.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    join(None, max(1, round(workers * resources.cpus)))
    try:
        yield
    finally:
        ray.shutdown()
