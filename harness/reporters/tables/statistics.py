"""What the accuracies rest on: interval and sources of variance of each number, and every comparison of two methods.

In: records. Out: a table of each kind per suite, version, source and protocol. Shown to those who ask by name (`harness
report --layout statistics`), so that a run's tables stay few. What the numbers mean stands in `stats.summary`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from harness.core.text import DASH, interval, known, points, probability
from harness.reporters.stats.summary import variance_split
from harness.reporters.tables.accuracies import Metric, RankBy, metric_of
from harness.reporters.tables.columns import Column, ipc_column, mean_column, mean_spread, student_column, word_column
from harness.reporters.tables.compare import Contest, coverage, tests_text
from harness.reporters.tables.paper import MEANING, paper_contests
from harness.reporters.tables.prepare import (
    Scope,
    finished,
    num_seeds,
    prepare,
    scopes,
    seeds_text,
    students,
    summary,
)
from harness.reporters.tables.registry import register_reporter
from harness.reporters.tables.table import Table

SPREAD = (
    "Mean ± standard deviation over n runs, with the 95 % t interval of the mean. Sets and Trainings: standard deviation "
    "between distillation seeds and between training seeds (one-way random-effects model). Share: fraction of the variance "
    "between distillation seeds. These three need at least two distillation seeds, one of them with two training seeds."
)


PAIRS = (
    "Difference: Method minus Against, with its 95 % interval (not corrected for multiple comparisons). p: p value of the test. "
    "Holm: p value corrected for all tests of this table."
)


@register_reporter("statistics")
def statistics(records: pd.DataFrame, *, rank_by: RankBy = "last") -> list[Table]:
    """Return one table of spreads, intervals and sources of variance per scope.

    Args:
        records: as `harness.load_results` returns them.
        rank_by: accuracy of the `last` epoch, the final model, or of the `best` evaluation.

    Raises:
        UserError: there are no records, a column is missing, or there is no such accuracy.
    """
    metric = metric_of(rank_by)
    return [_spreads(scope, rows, metric) for scope, rows in scopes(prepare(records))]


@register_reporter("comparisons")
def comparisons(records: pd.DataFrame, *, rank_by: RankBy = "last") -> list[Table]:
    """Return one table of every two methods at every IPC and test model per scope; none where nothing was compared.

    Args:
        records: as `harness.load_results` returns them.
        rank_by: accuracy of the `last` epoch, the final model, or of the `best` evaluation.

    Raises:
        UserError: there are no records, a column is missing, or there is no such accuracy.
    """
    metric, tables = metric_of(rank_by), []
    for scope, rows in scopes(prepare(records)):
        own = rows[~rows["reference_row"]]
        lines = [(ipc, student) for ipc in sorted(own["ipc"].dropna().unique()) for student in students(own)]
        contests = paper_contests(rows, lines, metric)
        if any(contest.pairs for contest in contests.values()):
            tables.append(_comparisons(scope, rows, contests, metric))
    return tables


def _spreads(scope: Scope, rows: pd.DataFrame, metric: Metric) -> Table:
    groups = rows.groupby(["reference_row", "ipc", "student", "label"], sort=False, dropna=False)
    lines = sorted((_spread(group, metric) for _, group in groups), key=_order)
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    frame["ipc"] = frame["ipc"].astype("Int64")
    caption = (
        f"{scope.caption} Top-1 test accuracy in percent ({MEANING[metric]}). {SPREAD} {coverage(*num_seeds(rows))}"
    )
    brief = (
        f"Top-1 test accuracy in percent {scope.place} ({MEANING[metric]}): mean ± standard deviation over n runs, 95 % "
        "interval and sources of variance."
    )
    return Table(f"Statistics: {scope.title}", caption, frame, _statistics_columns(frame), group="IPC", brief=brief)


def _spread(group: pd.DataFrame, metric: Metric) -> dict[str, Any]:
    """Return the plain values of one method, IPC and student."""
    first, found = group.iloc[0], summary(group, metric)
    split = variance_split(*finished(group, metric))
    return {
        "ipc": first["ipc"],
        "student": first["student"],
        "method": first["label"],
        "reference_row": bool(first["reference_row"]),
        "metric": metric,
        "num_runs": found.num_runs,
        "num_observations": found.num_observations,
        "mean_percent": found.mean,
        "std_percent": found.std,
        "low_percent": found.low,
        "high_percent": found.high,
        "distillation_std_percent": split.distillation**0.5,
        "training_std_percent": split.training**0.5,
        "distillation_share": split.distillation_share,
    }


def _order(line: dict[str, Any]) -> tuple[bool, bool, int, str, bool, float]:
    """By IPC and student, best first, what has no number last; the reference rows at the end."""
    ipc, mean = line["ipc"], line["mean_percent"]
    whole = ipc if known(ipc) else 0
    return line["reference_row"], not known(ipc), whole, line["student"], not known(mean), -mean if known(mean) else 0.0


def _comparisons(scope: Scope, rows: pd.DataFrame, contests: dict[Any, Contest], metric: Metric) -> Table:
    lines = [
        {
            "ipc": ipc,
            "student": student,
            "method": pair.first,
            "against": pair.second,
            "metric": metric,
            "num_observations": pair.num[0],
            "num_observations_against": pair.num[1],
            "difference_percent": pair.difference,
            "standard_error_percent": pair.error,
            "df": pair.df,
            "low_percent": pair.interval[0],
            "high_percent": pair.interval[1],
            "p": pair.p,
            "p_adjusted": pair.p_adjusted,
            "verdict": pair.verdict,
        }
        for (ipc, student), contest in contests.items()
        for pair in contest.pairs
    ]
    frame = pd.DataFrame([{**scope.columns(), **line} for line in lines])
    frame["ipc"] = frame["ipc"].astype("Int64")
    caption = (
        f"{scope.caption} Top-1 test accuracy ({MEANING[metric]}), percentage points; "
        f"{seeds_text(rows)}. {PAIRS} {tests_text(contests)} {coverage(*num_seeds(rows))}"
    )
    brief = (
        f"Differences of top-1 test accuracy {scope.place} ({MEANING[metric]}) in percentage points, with 95 % intervals and p "
        "values (Welch's t test, moderated variances)."
    )
    return Table(f"Comparisons: {scope.title}", caption, frame, _comparisons_columns(frame), group="IPC", brief=brief)


def _statistics_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    return (
        ipc_column("reference_row"),
        student_column(frame),
        word_column("Method", "method"),
        mean_column("Mean", "mean_percent", "std_percent", digits=2),
        Column("Interval", ("low_percent", "high_percent"), interval),
        Column("n", "num_runs"),
        Column("Sets", "distillation_std_percent", partial(mean_spread, digits=2)),
        Column("Trainings", "training_std_percent", partial(mean_spread, digits=2)),
        Column("Share", "distillation_share", lambda share: f"{share:.0%}" if known(share) else DASH),
    )


def _comparisons_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    return (
        ipc_column(),
        student_column(frame),
        word_column("Method", "method"),
        word_column("Against", "against"),
        Column("Difference", "difference_percent", points),
        Column("Interval", ("low_percent", "high_percent"), interval),
        Column("p", "p", probability),
        Column("Holm", "p_adjusted", probability),
        word_column("Verdict", "verdict"),
    )
