"""Default beside tuned options on the test split, with the leaderboard's statistics.

In: records of runs with the default and with the tuned options. Out: one table. A method competes with itself only; the
correction for many tests runs over the whole table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.core.text import interval, points, probability
from harness.reporters.stats.summary import Summary
from harness.reporters.tables.columns import Column, ipc_column, mean_column, word_column
from harness.reporters.tables.compare import compare, coverage, seed_scores, tests_text
from harness.reporters.tables.prepare import num_seeds, prepare, summary
from harness.reporters.tables.table import Table

DEFAULT, TUNED = "default", "tuned"


def comparison(name: str, default: pd.DataFrame, tuned: pd.DataFrame, metric: str, same: Sequence[str] = ()) -> Table:
    """Return a line per method and IPC: both accuracies with their intervals, the difference, and what the test says.

    Args:
        name: of the tuning.
        default, tuned: records, as `harness.load_results` returns them.
        metric: accuracy that is compared.
        same: methods whose default was the best: nothing is compared.
    """
    rows = pd.concat([_labelled(default, DEFAULT), _labelled(tuned, TUNED)], ignore_index=True)
    rows = rows[~rows["reference_row"] & ~rows["method"].isin(list(same))]
    places: dict[Any, pd.DataFrame] = dict(iter(rows.groupby(["method", "ipc"], sort=False)))
    sums = {place: _sums(own, metric) for place, own in places.items()}
    scores = {place: seed_scores(own, metric) for place, own in places.items()}
    means = {place: {label: found.mean for label, found in own.items()} for place, own in sums.items()}
    contests = compare(scores, means)
    lines = [_line(place, sums[place], contests[place]) for place in places]
    caption = (
        f"{metric} in percent on the test split, which was opened after all tuning was over: mean ± sample standard deviation "
        f"over the runs, and the 95 % t interval of the mean. {tests_text(contests)} {coverage(*num_seeds(rows))}"
        if lines
        else "No method has options that scored better on the validation part than its default."
    )
    notes = (f"The default scored best and stays: {', '.join(same)}.",) if same else ()
    frame = pd.DataFrame(lines)
    return Table(
        f"Default and tuned on the test split: {name}", caption, frame, _COLUMNS if lines else (), notes, group="Method"
    )


def _sums(rows: pd.DataFrame, metric: str) -> dict[str, Summary]:
    return {label: summary(rows[rows["label"] == label], metric) for label in (DEFAULT, TUNED)}


def _labelled(records: pd.DataFrame, label: str) -> pd.DataFrame:
    return prepare(records).assign(label=label)


def _line(place: Any, sums: Mapping[str, Any], contest: Any) -> dict[str, Any]:
    method, ipc = place
    line: dict[str, Any] = {"method": method, "ipc": int(ipc)}
    for label, found in sums.items():
        line |= {
            f"{label}_percent": found.mean,
            f"{label}_std": found.std,
            f"{label}_low": found.low,
            f"{label}_high": found.high,
            f"{label}_runs": found.num_runs,
        }
    pair = contest.pairs[0] if contest.pairs else None
    sign = 1.0 if pair is None or pair.first == TUNED else -1.0
    low, high = pair.interval if pair else (float("nan"), float("nan"))
    return line | {
        "difference": sign * pair.difference if pair else float("nan"),
        "difference_low": low if sign > 0 else -high,
        "difference_high": high if sign > 0 else -low,
        "p": pair.p if pair else float("nan"),
        "p_adjusted": pair.p_adjusted if pair else float("nan"),
        "verdict": pair.verdict if pair else "not tested",
    }


_COLUMNS = (
    word_column("Method", "method"),
    ipc_column(),
    mean_column("Default", "default_percent", "default_std"),
    Column("Default interval", ("default_low", "default_high"), interval),
    mean_column("Tuned", "tuned_percent", "tuned_std"),
    Column("Tuned interval", ("tuned_low", "tuned_high"), interval),
    Column("Difference", "difference", points),
    Column("Its interval", ("difference_low", "difference_high"), interval),
    Column("p", "p_adjusted", probability),
    word_column("Verdict", "verdict"),
)
