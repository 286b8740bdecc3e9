"""Tables and figures of a tuning, from made trials and made records."""

import numpy as np
import pandas as pd
import pytest

from harness.reporters.figures.style import style
from harness.reporters.runs import as_frame
from harness.reporters.tuning.comparison import comparison
from harness.reporters.tuning.figures import tuning_figures
from harness.reporters.tuning.importance import importance
from harness.reporters.tuning.tables import MethodSummary, overview, pareto, pareto_table, trials_table
from tests.helpers.made_run import make_record


def made_trials(num, method="dit", **changes):
    """Trials whose score depends on `a` alone."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(size=num), rng.uniform(size=num)
    values = {
        "method": method, "number": range(num), "status": "done", "score": 80 - 30 * a, "time_s": 1 + a, "num_records": 2,
        "of_records": 2, "wall_s": 1.0, "error": "", "device_s": 2.0, f"{method}.a": a, f"{method}.b": b,
        f"{method}.c": [("x", "y")[i % 2] for i in range(num)],
    }  # fmt: skip
    return pd.DataFrame(values | changes)


@pytest.mark.parametrize(("num", "how"), [(16, "fANOVA"), (7, "rank correlation")])
def test_the_option_that_matters_is_the_most_important(num, how):
    found = importance(made_trials(num), ["dit.a", "dit.b", "dit.c"])
    assert how in found.how
    assert max(found.values, key=found.values.get) == "dit.a"
    assert found.values["dit.a"] > 0.7
    assert all(0 <= value <= 1 for value in found.values.values())


def test_too_few_trials_have_no_importance():
    assert importance(made_trials(3), ["dit.a"]).values == {}
    assert importance(made_trials(9, status="stopped"), ["dit.a"]).values == {}
    assert importance(made_trials(9, score=50.0), ["dit.a"]).values == {}


def test_the_front_holds_what_no_other_beats_in_both():
    trials = pd.DataFrame(
        {"status": ["done"] * 4 + ["stopped"], "score": [50.0, 60, 55, 70, 99], "time_s": [1.0, 2, 3, 4, 0.1]}
    )
    assert pareto(trials) == [0, 1, 3]
    assert len(pareto_table("t", made_trials(6)).frame) == 1  # the smallest `a` is the best and the fastest


def test_the_overview_has_a_line_for_each_method_skipped_ones_too():
    trials = pd.concat([made_trials(4), made_trials(1, "random_real")], ignore_index=True)
    methods = [
        MethodSummary("dit", {"dit.a": "linear(0, 1)"}, {"dit.a": 0.1234567}, 2),
        MethodSummary("random_real", {}, {}, 0),
        MethodSummary("d3m", {}, {}, skipped="suite tiny offers no text_to_image_generator"),
    ]
    table = overview("t", trials, methods, "top1_last")
    assert list(table.display["Remark"]) == [
        "a=0.1235", "nothing to tune", "skipped: suite tiny offers no text_to_image_generator",
    ]  # fmt: skip
    assert list(table.frame["device_s"]) == [8.0, 2.0, 0.0]
    assert list(table.frame["trials"]) == [4, 1, 0]
    assert "test split was not opened" in table.caption
    shown = trials_table("t", trials).display
    assert shown["Options"].iloc[4].startswith("random_real.a=")
    assert "dit.a" not in shown["Options"].iloc[4]


def records(means, seeds, config):
    rng = np.random.default_rng(1)
    noise = {seed: rng.normal() for seed in range(seeds)}
    return as_frame(
        [
            make_record(method, training_seed=seed, top1_last=mean + noise[seed] + 0.1 * seed, config=config)
            for method, mean in means.items()
            for seed in range(seeds)
        ]
    )


def test_default_and_tuned_are_compared_method_by_method_with_the_leaderboards_test():
    default, tuned = (
        records({"dit": 50, "dm": 60, "d3m": 40}, 5, "{}"),
        records({"dit": 55, "dm": 60.0, "d3m": 40}, 5, '{"a": 1}'),
    )
    tuned.loc[tuned["method"] == "dm", "top1_last"] += [0.3, -0.2, 0.1, -0.4, 0.2]
    tuned.loc[tuned["method"] == "dit", "top1_last"] += [0.1, -0.1, 0.05, 0, 0.02]
    table = comparison("t", default, tuned, "top1_last", same=["d3m"])
    lines = table.frame.set_index("method")
    assert list(lines.index) == ["dit", "dm"]
    assert lines.loc["dit", "difference"] == pytest.approx(5, abs=0.1)
    assert lines.loc["dit", "difference_low"] < 5 < lines.loc["dit", "difference_high"]
    assert list(lines["verdict"]) == ["significant", "not significant"]
    assert table.notes == ("The default scored best and stays: d3m.",)
    worse = comparison("t", tuned, default, "top1_last", same=["d3m", "dm"]).frame.iloc[0]
    assert worse["difference"] == pytest.approx(-lines.loc["dit", "difference"])
    assert worse["difference_low"] == pytest.approx(-lines.loc["dit", "difference_high"])


def test_figures_are_drawn_for_what_there_is():
    trials = pd.concat([made_trials(12), made_trials(1, "dm")], ignore_index=True)
    trials.loc[3, "status"] = "stopped"
    trials.loc[5, ["status", "score", "time_s"]] = ["failed", np.nan, np.nan]
    options = {"dit": ["dit.a", "dit.b", "dit.c"], "dm": ["dm.a", "dm.b", "dm.c"]}
    with style():
        assert list(dict(tuning_figures("t", trials, options, time=True))) == [
            "trials",
            "importance",
            "parallel_dit",
            "pareto",
        ]
        assert list(dict(tuning_figures("t", trials, {}, time=False))) == []
