"""Trials as Ray Tune knows them: the actor of a trial, what writes down how it ended, and the Ray that it runs on.

In: a function that runs a trial. Out: a `Trial` as soon as one has ended.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.api.tune.folder import Trial
from harness.api.tune.space import MethodSpace, Point, decoded
from harness.api.tune.trial import TrialFunction
from harness.execution.ray.join import join

_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the command, as that of a run
    "TUNE_WARN_THRESHOLD_S": "1000",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


@dataclass(frozen=True)
class Resources:
    """What one trial asks of Ray."""

    cpus: float = 1.0
    gpus: float = 0.0


def _point(config: dict[str, Any], space: MethodSpace) -> Point:
    """Return the values of the options that Ray Tune asks for."""
    if "listed" in config:
        return dict(json.loads(config["listed"])["options"])
    return decoded(space, config)


def trial_actor(run: TrialFunction, space: MethodSpace) -> Any:
    """Return the actor of a trial. A class of Ray Tune's, because its steps run in the main thread, as every job does."""
    from ray import tune

    place = os.getcwd()

    class TrialActor(tune.Trainable):  # type: ignore[misc, unused-ignore]
        def setup(self, config: dict[str, Any]) -> None:
            os.chdir(place)  # paths of the request start where the command was typed
            self.reports = run(space.method, _point(config, space))
            self.wall_s = 0.0

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.setup(new_config)
            return True

        def step(self) -> dict[str, Any]:
            began = time.monotonic()
            report = next(self.reports, None)
            if report is None:
                raise RuntimeError("it has no records")
            self.wall_s += time.monotonic() - began
            values = asdict(report)
            done = report.num_records == report.of_records
            return {**values, "jobs": json.dumps(values["jobs"]), "wall_s": self.wall_s, "done": done}

    return TrialActor


class _Here:
    """Keeps a function out of what Ray Tune pickles of its callbacks, which nobody reads."""

    def __init__(self, end: Callable[[Trial], None]) -> None:
        self.end = end

    def __getstate__(self) -> dict[str, Any]:
        return {}


def recorder(space: MethodSpace, end: Callable[[Trial], None], first: int) -> Any:
    """Return a callback of Ray Tune that writes each trial down as it ends.

    Args:
        space: of the trials.
        end: told each trial that has ended.
        first: number of the first one that has none yet; they are numbered as they begin.
    """
    from ray import tune

    here = _Here(end)
    del end

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
            here.end(_as_trial(space.method, number, _point(trial.config, space), result or {}, error))

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
    file = trial.error_file  # on this machine; what Tune copies from there comes later
    text = Path(file).read_text(encoding="utf-8", errors="replace") if file and Path(file).is_file() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip()[:2000] if lines else "its process ended unexpectedly"


@contextlib.contextmanager
def ray_for(workers: int, resources: Resources) -> Iterator[None]:
    """Start a Ray of this tuning, unless one runs in this process already; Tune's own messages stay away.

    Raises:
        UserError: it cannot be started.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    own, log = not ray.is_initialized(), logging.getLogger("ray.tune")
    level = log.level
    if own:
        join(None, max(1, round(workers * resources.cpus)))
    log.setLevel(logging.CRITICAL)  # a trial that failed is told in one line of ours
    try:
        yield
    finally:
        log.setLevel(level)
        if own:
            ray.shutdown()
