"""The test that decides ranks, against published numbers and scipy; how seldom it errs: test_false_claims.py."""

import math

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from harness.reporters.stats.comparison import Prior, holm, moderated, smallest_difference, variance_prior, welch_p

RNG = np.random.default_rng(0)


def test_the_prior_matches_mean_and_variance_of_the_log_variances():
    """Smyth 2004, section 6.2, checked by its two equations."""
    s2 = np.array([0.2, 1.0, 3.0, 9.0, 0.5])
    df = np.array([2, 2, 4, 2, 3])
    found = variance_prior(s2, df)
    e = np.log(s2) - special.digamma(df / 2) + np.log(df / 2)
    d0 = float(found.df)
    assert special.polygamma(1, d0 / 2) == pytest.approx(e.var(ddof=1) - special.polygamma(1, df / 2).mean())
    assert np.log(found.variance) == pytest.approx(e.mean() + special.digamma(d0 / 2) - np.log(d0 / 2))


@pytest.mark.parametrize(("d0", "s0"), [(3.0, 2.0), (10.0, 0.5)])
def test_the_prior_that_was_put_in_is_found_again(d0, s0):
    rng = np.random.default_rng(1)
    true = d0 * s0 / rng.chisquare(d0, 40_000)
    found = variance_prior(true * rng.chisquare(2, 40_000) / 2, 2)
    assert (float(found.df), float(found.variance)) == (pytest.approx(d0, rel=0.15), pytest.approx(s0, rel=0.05))


def test_variances_that_differ_by_chance_only_are_pooled():
    found = variance_prior([1.0, 1.2, 0.9], [2, 4, 2])
    assert math.isinf(found.df)
    assert found.variance == pytest.approx((2 * 1.0 + 4 * 1.2 + 2 * 0.9) / 8)
    variance, df = moderated([1.0, 1.2, 0.9], [2, 4, 2], found)
    assert variance == pytest.approx([1.075, 1.2, 1.075])
    assert df.tolist() == [8, 8, 8], "never more than all have together"


def test_a_variance_is_averaged_with_the_prior_and_never_made_smaller():
    variance, df = moderated([1.0, 9.0], [2, 2], Prior(np.array(4.0), np.array(1.5)))
    assert variance == pytest.approx([(1.5 * 4 + 2 * 1) / 3.5, 9.0])
    assert df.tolist() == [3.5, 3.5]


def test_without_a_prior_each_method_has_its_own_variance():
    variance, df = moderated([1.0, 9.0], [2, 4], Prior(np.zeros(()), np.zeros(())))
    assert (variance.tolist(), df.tolist()) == ([1.0, 9.0], [2, 4])
    assert float(variance_prior([1.0], [2]).df) == 0
    assert float(variance_prior([0.0, 0.0, 0.0], [2, 2, 2]).df) == 0


def test_a_variance_of_zero_leaves_the_prior_finite():
    found = variance_prior([0.0, 1.0, 2.0, 0.0, 0.0], [2] * 5)
    assert 0 < found.df < 1
    assert np.isfinite(found.variance)


def test_several_tables_at_once_are_each_alone():
    s2 = RNG.chisquare(2, (50, 6)) * RNG.chisquare(3, (50, 6))
    together = variance_prior(s2, 2)
    alone = [variance_prior(own, 2) for own in s2]
    assert together.df.tolist() == pytest.approx([float(own.df) for own in alone])
    assert together.variance.tolist() == pytest.approx([float(own.variance) for own in alone])


def test_the_test_is_scipys_welch_test_where_both_have_one_variance():
    """Satterthwaite's degrees of freedom are then those of both; ours those of one."""
    a, b = np.array([1.0, 2.0, 4.0]), np.array([7.0, 8.0, 10.0])
    t = scipy_stats.ttest_ind(a, b, equal_var=False).statistic
    variance, df = np.array(a.var(ddof=1) / 3), np.array(2.0)
    assert welch_p(a.mean() - b.mean(), (variance, variance), (df, df)) == pytest.approx(
        2 * scipy_stats.t.sf(abs(t), 2)
    )


def test_where_nothing_varies_there_is_no_test():
    none, df = np.zeros(2), np.full(2, 2.0)
    found = welch_p([1.0, 0.0], (none, none), (df, df))
    assert math.isnan(found[0])
    assert found[1] == 1.0


def test_holm_is_the_definition():
    """By hand: 4 x 0.005, 3 x 0.01, then 2 x 0.03, and 0.04, which may not fall below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]).tolist() == [1.0, 1.0]
    with_gap = holm([0.01, np.nan, 0.04])
    assert np.isnan(with_gap[1])
    assert with_gap[[0, 2]] == pytest.approx([0.02, 0.04])
    assert holm([[0.01, 0.04], [0.5, 0.001]]) == pytest.approx(np.array([[0.02, 0.04], [0.5, 0.002]]))
    assert holm([]).size == 0


@pytest.mark.parametrize(("df", "alpha", "power"), [(2, 0.05, 0.8), (4, 0.05 / 56, 0.8), (9, 0.01, 0.5)])
def test_the_smallest_difference_is_detected_with_the_power_stated(df, alpha, power):
    delta = smallest_difference(2.0, df, alpha=alpha, power=power)
    t = (delta + 2 * RNG.normal(size=40_000)) / (2 * np.sqrt(RNG.chisquare(df, 40_000) / df))
    assert (t > scipy_stats.t.isf(alpha / 2, df)).mean() == pytest.approx(power, abs=0.01)


@pytest.mark.parametrize(("df", "alpha"), [(1, 0.05), (2, 0.05 / 180), (99, 0.05 / 15)])
def test_the_smallest_difference_agrees_with_scipys_noncentral_t(df, alpha):
    shift = smallest_difference(1.0, df, alpha=alpha)
    assert scipy_stats.nct.sf(scipy_stats.t.isf(alpha / 2, df), df, shift) == pytest.approx(0.8, abs=1e-6)


def test_no_degree_of_freedom_detects_nothing():
    assert math.isnan(smallest_difference(1.0, 0))


@pytest.mark.parametrize("wrong", [{"power": 0.4}, {"alpha": 0}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValueError, match="|".join(f"{name} {value}" for name, value in wrong.items())):
        smallest_difference(1.0, 3, **wrong)
