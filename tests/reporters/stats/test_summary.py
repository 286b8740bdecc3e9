"""Statistics of groups of runs agree with scipy on the same numbers."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.reporters.stats.summary import observations, places, summarise, t_interval, variance_split

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("num", [2, 3, 10])
def test_the_interval_is_scipys(num):
    values = RNG.normal(40, 1, num)
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert t_interval(values) == pytest.approx(tuple(expected))
    found = summarise(values)
    assert (found.num_runs, found.num_observations) == (num, num)
    assert (found.mean, found.std) == pytest.approx((values.mean(), scipy_stats.tstd(values)))
    assert (found.low, found.high) == pytest.approx(tuple(expected))


def test_one_run_and_none_have_no_spread_and_no_interval():
    one, none = summarise([40.0]), summarise([])
    assert (one.num_runs, one.mean) == (1, 40.0)
    assert all(math.isnan(v) for v in (one.std, one.low, one.high, none.mean, none.std, none.low))
    assert none.num_runs == 0


def test_runs_on_one_distilled_set_are_one_observation_where_there_are_several_sets():
    found = summarise([30.0, 32.0, 40.0, 42.0], sets=[0, 0, 1, 1])
    assert (found.num_runs, found.num_observations, found.mean) == (4, 2, 36.0)
    assert (found.low, found.high) == pytest.approx(t_interval([31.0, 41.0]))
    assert observations([1.0, 2.0], [7, 7]).tolist() == [1.0, 2.0]


def test_an_interval_over_sets_covers_the_methods_mean_as_often_as_it_says():
    """Over all runs as if independent, 5 sets of 3 students would cover in 83 % of cases."""
    sets = np.repeat(np.arange(5), 3)
    simulated = RNG.normal(0, 1, (1000, 5))[:, sets] + RNG.normal(0, 1, (1000, 15))
    covered = sum(found.low <= 0 <= found.high for found in (summarise(values, sets) for values in simulated))
    assert 0.93 <= covered / 1000 <= 0.97


def test_the_variance_split_is_that_of_scipys_analysis_of_variance():
    groups = [RNG.normal(mean, 1, 4) for mean in (30, 33, 31)]
    found = variance_split(np.concatenate(groups), np.repeat([0, 1, 2], 4))
    within = np.mean([g.var(ddof=1) for g in groups])
    f = scipy_stats.f_oneway(*groups).statistic
    assert (found.training, found.distillation) == pytest.approx((within, within * (f - 1) / 4))
    assert found.distillation_share == pytest.approx(found.distillation / (found.distillation + within))


def test_the_variance_split_finds_the_variances_that_were_put_in_also_from_uneven_sets():
    sizes = np.tile([2, 3, 5], 400)
    sets = np.repeat(np.arange(1200), sizes)
    found = variance_split(2 * RNG.normal(size=1200)[sets] + RNG.normal(size=len(sets)), sets)
    assert (found.distillation, found.training) == pytest.approx((4, 1), rel=0.15)


@pytest.mark.parametrize("sets", [[0, 0, 0], [0, 1, 2]])
def test_variances_that_cannot_be_told_apart_are_unknown(sets):
    found = variance_split([1.0, 2.0, 4.0], sets)
    assert math.isnan(found.distillation)
    assert math.isnan(found.training)
    assert math.isnan(found.distillation_share)


def test_sets_that_differ_less_than_their_trainings_have_no_variance_of_their_own():
    assert variance_split([1.0, 3.0, 1.0, 3.0], [0, 0, 1, 1]).distillation == 0.0


def test_methods_that_do_not_differ_share_a_rank_and_the_next_has_its_position():
    worse = np.zeros((4, 4), dtype=bool)
    worse[0, 2:] = True
    assert places([40, 39, 38, 37], worse) == [1, 1, 3, 3]
    assert places([37, 38, 39, 40], np.zeros((4, 4))) == [1, 1, 1, 1]


def test_a_rank_is_that_of_the_first_of_its_group():
    """The third differs from the first, not from the second."""
    worse = np.zeros((3, 3), dtype=bool)
    worse[0, 2] = True
    assert places([40, 39, 38], worse) == [1, 1, 3]


def test_a_method_without_a_mean_has_no_rank_nor_has_a_lone_one():
    assert places([np.nan, 3.0, 4.0], np.zeros((3, 3))) == [None, 1, 1]
    assert places([np.nan, 3.0, np.nan], np.zeros((3, 3))) == [None, None, None]


def test_a_rank_never_contradicts_the_means():
    rng = np.random.default_rng(3)
    for _ in range(200):
        means = rng.normal(size=8)
        found = places(means, rng.random((8, 8)) < 0.3)
        ranks = [found[i] for i in np.argsort(-means)]
        assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: summarise([1.0, 2.0], level=95), "between 0 and 1"),
        (lambda: summarise([1.0, 2.0], sets=[0]), "one distilled set for each value"),
        (lambda: summarise([1.0, math.nan]), "NaN"),
    ],
)
def test_nonsense_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()
