"""Where no method is better than another, a table claims a difference in 5 % of simulated runs at most."""

import numpy as np
import pandas as pd
import pytest

from harness.reporters.stats.comparison import ALPHA
from harness.reporters.tables.compare import compare
from tests.reporters.stats import simulate_ranks
from tests.reporters.stats.simulate_ranks import bold, chosen, detected, false_claims, limma, pairs, simulate, tukey

CHANCE = 2 * (ALPHA * (1 - ALPHA) / simulate_ranks.NUM_TABLES) ** 0.5
"""Of the simulation itself: 1 percentage point."""


@pytest.mark.parametrize("kind", ["equal", "one x3", "half x3", "as in the demo"])
@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("num_methods", [2, 3, 4, 8, 17])
def test_a_table_without_a_true_difference_claims_one_in_5_percent_of_runs(num_methods, num_seeds, kind):
    exception = (num_methods, num_seeds, kind) == (3, 3, "as in the demo")  # one of three varies five times as much
    limit = 0.07 if exception else ALPHA + CHANCE
    assert false_claims(chosen, simulate(num_methods, num_seeds, kind)) <= limit


@pytest.mark.parametrize("num_methods", [3, 8, 17])
def test_one_method_of_five_times_the_spread_makes_7_percent_at_most(num_methods):
    assert false_claims(chosen, simulate(num_methods, 3, "one x5")) <= 0.07


def test_the_tests_that_were_not_chosen_err_more_where_methods_vary_as_in_the_demo():
    x = simulate(17, 3, "as in the demo")
    assert false_claims(tukey, x) > 0.3
    assert false_claims(limma, x) > 0.1


@pytest.mark.parametrize("blocks", [1.0, 3.0])
def test_what_a_seed_does_to_all_methods_brings_no_false_claims(blocks):
    assert false_claims(chosen, simulate(8, 3, "as in the demo", blocks=blocks)) <= ALPHA


def test_methods_that_truly_differ_do_not_make_equal_ones_different():
    """Two groups of four, 30 points apart."""
    group = np.arange(8) // 4
    i, j = (np.array(own) for own in pairs(8))
    found = chosen(simulate(8, 3, "as in the demo", shift=30 * group))
    assert found[..., group[i] == group[j]].any(axis=(1, 2)).mean() <= ALPHA
    assert found[..., group[i] != group[j]].mean() > 0.8


@pytest.mark.parametrize("kind", ["equal", "one x3", "one x5", "half x3", "as in the demo"])
@pytest.mark.parametrize(("num_methods", "num_seeds"), [(2, 3), (3, 3), (8, 3), (17, 3), (17, 5)])
def test_a_method_as_good_as_the_best_is_not_bold_in_about_5_percent_of_rows(num_methods, num_seeds, kind):
    found = bold(simulate(num_methods, num_seeds, kind)).mean(axis=(0, 1))
    assert 1 - found.mean() <= ALPHA + CHANCE / 2
    assert 1 - found.min() <= 0.065


def test_what_is_eight_points_worse_is_seldom_bold():
    worse = -8.0 * (np.arange(17) > 0)
    assert bold(simulate(17, 3, "as in the demo", shift=worse))[..., 1:].mean() < 0.15
    assert bold(simulate(17, 3, "equal", shift=worse))[..., 1:].mean() < 0.01


def test_the_table_marks_as_the_simulation_does():
    for x in simulate(8, 3, "as in the demo", shift=np.arange(8.0) * 2)[:20]:
        seeds = pd.MultiIndex.from_product([[0], range(3)])
        tables = {row: pd.DataFrame(own, index=seeds, columns=list("abcdefgh")) for row, own in enumerate(x)}
        found = compare(tables, {row: dict(own.mean()) for row, own in tables.items()})
        expected = [{"abcdefgh"[i] for i in np.flatnonzero(own)} for own in bold(x[None])[0]]
        assert [set(found[row].best()) for row in tables] == expected


def test_three_seeds_detect_eight_standard_deviations():
    assert detected(chosen, 8, 3, "equal", 8) > 0.95
    assert detected(chosen, 8, 5, "equal", 4) > 0.9


def test_the_table_tests_as_the_simulation_does():
    """`compare` and `chosen` give the same verdicts on the same numbers."""
    for x in simulate(8, 3, "as in the demo", shift=np.arange(8.0) * 4)[:20]:
        seeds = pd.MultiIndex.from_product([[0], range(3)])
        tables = {ipc: pd.DataFrame(own, index=seeds, columns=list("abcdefgh")) for ipc, own in enumerate(x)}
        found = compare(tables, {ipc: dict(zip("hgfedcba", range(8), strict=True)) for ipc in tables})
        claimed = {
            frozenset((p.first, p.second, i)) for i in found for p in found[i].pairs if p.verdict == "significant"
        }
        expected = {
            frozenset(("abcdefgh"[a], "abcdefgh"[b], ipc))
            for ipc, own in enumerate(chosen(x[None])[0])
            for a, b, differs in zip(*pairs(8), own, strict=True)
            if differs
        }
        assert claimed == expected
