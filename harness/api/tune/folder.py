"""The folder of a tuning: the request that it belongs to, a line per trial as it ends, and what comes out in the end.

In: trials. Out: files that the same command goes on from, and the trials again. Nothing in it is run by being read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.core.errors import UserError
from harness.core.io import write_text_atomically, writing
from harness.core.text import without_controls

if TYPE_CHECKING:
    import pandas as pd

Ended = Literal["done", "stopped", "failed"]


@dataclass(frozen=True)
class Trial:
    """One trial that has ended.

    Attributes:
        method: whose.
        number: of the trial among the method's; 0 is the default.
        options: METHOD.OPTION -> value.
        status: done: with all records; stopped: early, with the first ones; failed.
        score: mean accuracy over its records, percent; None where there is none.
        time_s: mean device-seconds of distillation over the same.
        num_records, of_records: records that it has, and that a whole trial has.
        wall_s: seconds that it took here.
        jobs: device-seconds of the jobs that it stands on, by key.
        error: of one that failed.
    """

    method: str
    number: int
    options: dict[str, Any]
    status: Ended
    score: float | None = None
    time_s: float | None = None
    num_records: int = 0
    of_records: int = 0
    wall_s: float = 0.0
    jobs: dict[str, float] = field(default_factory=dict)
    error: str = ""


class TuningFolder:
    """One tuning on disk.

    Args:
        path: its folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.about_file = path / "tuning.json"
        self.trials_file = path / "trials.jsonl"
        self.best_file = path / "best.yaml"
        self.page = path / "index.html"
        self.tables = path / "tables"
        self.figures = path / "figures"

    def begin(self, about: dict[str, Any]) -> None:
        """Make the folder, or see that it belongs to the same request.

        Args:
            about: the request under `request`, and under `same` what must be equal for its trials to count here.

        Raises:
            UserError: it belongs to another request, or cannot be written.
        """
        if self.about_file.exists():
            before = _read(self.about_file)
            if before.get("same") != about["same"]:
                differing = ", ".join(_differing(before.get("same"), about["same"]))
                raise UserError(
                    f"--name {self.name!r}: a tuning with that name but a different request ({differing}) exists in "
                    f"{self.path.parent}. Choose another name, or omit --name."
                )
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            write_text_atomically(self.about_file, json.dumps(about, indent=1))

    def trials(self) -> list[Trial]:
        """Return the trials that have ended, the last line of each; a line that a kill cut off does not count."""
        if not self.trials_file.exists():
            return []
        found: dict[tuple[str, int], Trial] = {}
        for line in self.trials_file.read_text(encoding="utf-8").splitlines():
            try:
                trial = Trial(**json.loads(line))
            except (ValueError, TypeError):
                continue
            found[trial.method, trial.number] = trial
        return list(found.values())

    def add(self, trial: Trial) -> None:
        """Write a trial down, so that it is there whatever comes next."""
        text = json.dumps(asdict(trial))
        with writing(self.path), self.trials_file.open("ab+") as handle:
            handle.seek(0, os.SEEK_END)
            if handle.tell():
                handle.seek(-1, os.SEEK_END)
                text = text if handle.read(1) == b"\n" else f"\n{text}"
            handle.write(f"{text}\n".encode())
            handle.flush()
            os.fsync(handle.fileno())


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}. Remove the folder, or choose another --name.") from None
    return found if isinstance(found, dict) else {}


def _differing(before: Any, now: dict[str, Any]) -> Iterable[str]:
    known = before if isinstance(before, dict) else {}
    return (without_controls(str(name)) for name in now if known.get(name) != now[name])


def check_name(name: str | None) -> None:
    """Refuse what is no plain folder name.

    Raises:
        UserError: says so.
    """
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,79}", name):
        raise UserError(f"--name {name!r}: expected a plain folder name of at most 80 letters, digits, _ . + or -.")


def trials_frame(trials: Iterable[Trial]) -> pd.DataFrame:
    """Return trials as a frame, a row each, in order of method and number.

    `device_s` counts each job once, for the first trial that stands on it: what the trials would have cost with an empty
    store. Options are columns METHOD.OPTION, missing where a method has them not.
    """
    import pandas as pd

    rows, seen = [], set()
    for trial in sorted(trials, key=lambda one: (one.method, one.number)):
        new = {key: seconds for key, seconds in trial.jobs.items() if key not in seen}
        seen |= set(new)
        values = {name: value for name, value in asdict(trial).items() if name not in ("jobs", "options")}
        rows.append({**values, "device_s": sum(new.values()), **trial.options})
    columns = [name for name in Trial.__dataclass_fields__ if name not in ("jobs", "options")]
    frame = pd.DataFrame(rows, columns=None if rows else [*columns, "device_s"])
    return frame.astype(dict.fromkeys(("score", "time_s", "wall_s"), float))


def best_trial(trials: Iterable[Trial], method: str) -> Trial | None:
    """Return the whole trial of a method with the highest score, the earliest of equals; None where none ended whole."""
    whole = [one for one in trials if one.method == method and one.status == "done" and one.score is not None]
    return max(whole, key=lambda one: (one.score, -one.number), default=None)
