"""The tables behind the ranks: intervals, sources of variance, every comparison."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.reporters import build_reports


@pytest.fixture
def two_sets(record, frame):
    rng = np.random.default_rng(0)
    return frame(
        *[
            record(m, mean + rng.normal(), distillation_seed=d, training_seed=t)
            for m, mean in {"a": 30.0, "b": 60.0}.items() for d in range(4) for t in range(3)
        ]
    )  # fmt: skip


def test_the_variance_is_split_between_the_two_kinds_of_seeds(two_sets):
    table = build_reports(two_sets, ["statistics"])["statistics"]
    line = table.frame.set_index("method").loc["B"]

    assert (line["num_runs"], line["num_observations"]) == (12, 4)
    own = two_sets[two_sets["method"] == "b"]["top1_last"].to_numpy().reshape(4, 3)
    assert line["training_std_percent"] == pytest.approx(own.var(axis=1, ddof=1).mean() ** 0.5)
    assert tuple(line[["low_percent", "high_percent"]]) == pytest.approx(
        tuple(scipy_stats.ttest_1samp(own.mean(axis=1), 0).confidence_interval(0.95))
    )
    assert table.display["Share"].str.endswith("%").all()


def test_one_seed_has_dashes(record, frame):
    row = build_reports(frame(record()), ["statistics"])["statistics"].display.iloc[0]
    assert (row["Interval"], row["Sets"], row["Trainings"], row["Share"]) == ("—", "—", "—", "—")


def test_every_two_methods_are_compared_with_p_values_and_verdict(two_sets):
    (table,) = build_reports(two_sets, ["comparisons"]).values()
    line = table.frame.iloc[0]

    assert (line["method"], line["against"], line["num_observations"], line["metric"]) == ("B", "A", 4, "top1_last")
    assert line["verdict"] == "significant"
    assert line["p_adjusted"] == line["p"] > 0, "one test needs no correction"
    assert line["low_percent"] < line["difference_percent"] < line["high_percent"]
    assert table.display.loc[0, "Difference"].startswith("+")


def test_a_run_with_failures_has_a_line_for_each_and_compares_what_there_is(run):
    tables = build_reports(run, ["statistics", "comparisons"])
    spreads, pairs = tables["statistics"].frame, tables["comparisons"].frame

    assert len(spreads) == 5 * 4 + 2
    assert math.isnan(spreads.set_index("method").loc["BROKEN", "mean_percent"].iloc[0])
    assert set(pairs["method"]) | set(pairs["against"]) == {"DIT", "MINIMAX"}, "HALF has two seeds"
    (best,) = build_reports(run, ["comparisons"], rank_by="best").values()
    assert set(best.frame["metric"]) == {"top1_best"}


def test_one_method_and_no_result_have_nothing_to_compare(record, frame):
    assert build_reports(frame(record()), ["comparisons"]) == {}
    assert build_reports(frame(record("a", status="failed"), record("b", status="failed")), ["comparisons"]) == {}
