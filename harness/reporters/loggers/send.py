"""Send the trainings of a run that has ended to loggers. What fails there is one warning: the run stays as it is."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.core.paths import is_regular
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.core.text import shorten, times
from harness.reporters.loggers.base import Training, loggers

_PARAMS = (
    "suite", "suite_version", "protocol", "protocol_version", "labels", "method", "method_version", "ipc", "student",
    "variant", "distillation_seed", "training_seed", "device", "train_key", "distilled_key",
)  # fmt: skip
"""Fields of a record that say what was run."""

_NUMBERS_OF_NO_RESULT = {"run", "reference_row", "random_subset", "given", "cached", *_PARAMS}


def send(folder: Path, store: Store, names: Sequence[str], say: Callable[[str], None]) -> None:
    """Write every finished training of a run with each logger.

    Args:
        folder: of the run.
        store: that has the curves.
        names: of loggers.
        say: told where each wrote, or one warning where it could not.
    """
    for name in names:
        try:
            logger, number = loggers.get(name)(folder, folder.name), 0
            for training in trainings(folder, store):
                logger.training(training)
                number += 1
            say(f"--log {name}: {times(number, 'training')} in {logger.close()}")
        except Exception as error:  # a logger's package may raise anything, and the results are safe already
            told = shorten(" ".join(str(error).split()), 300)
            say(f"warning: --log {name} failed ({type(error).__name__}: {told}); the results of the run are complete")


def trainings(folder: Path, store: Store) -> Iterator[Training]:
    """Yield the finished trainings of a run."""
    run = RunFolder(folder)
    protocol = {f"protocol.{name}": value for name, value in _flat(run.about.get("protocol") or {})}
    for record in run.records:
        if record["status"] != "done":
            continue
        config = {f"{record['method']}.{name}": value for name, value in _flat(json.loads(record["config"] or "{}"))}
        chosen = {name: record[name] for name in _PARAMS if record.get(name) not in (None, "")}
        numbers = {k: v for k, v in record.items() if k not in _NUMBERS_OF_NO_RESULT and isinstance(v, int | float)}
        final = {k: float(v) for k, v in numbers.items() if not isinstance(v, bool) and math.isfinite(v)}
        yield Training(_name(record), {**chosen, **protocol, **config}, _curve(store, record["train_key"]), final)


def _name(record: dict[str, Any]) -> str:
    ipc = "full" if record["ipc"] is None else f"ipc{record['ipc']}"
    seeds = f"seed{record['distillation_seed']}-{record['training_seed']}"
    parts = [record["method"], ipc, record["student"], seeds, record.get("variant") or ""]
    return "/".join(str(part).replace(":", "_").replace("/", "_") for part in parts if part)


def _flat(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of numbers and texts; lists and dicts as JSON."""
    for name, value in values.items():
        if value is not None:
            yield name, value if isinstance(value, str | int | float) else json.dumps(value)


def _curve(store: Store, key: str) -> tuple[tuple[int, dict[str, float]], ...]:
    """Return what a training logged; nothing where its artefact is gone."""
    try:
        path = store.fetch("train", key) / "curves.csv"
    except FileNotFoundError:
        return ()
    if not is_regular(path):
        return ()
    with path.open(newline="", encoding="utf-8") as handle:
        rows = [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(handle)]
    points = ((int(row.pop("epoch", row.pop("step", number))), row) for number, row in enumerate(rows))
    return tuple((step, {k: v for k, v in row.items() if math.isfinite(v)}) for step, row in points)
