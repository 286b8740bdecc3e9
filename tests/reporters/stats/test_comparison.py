"""Tests of differences agree with scipy on the same numbers; how seldom they err: test_false_differences.py."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.reporters.stats.comparison import (
    ALPHA,
    Residuals,
    excess,
    holm,
    moderated_p,
    paired_p,
    residuals,
    smallest_difference,
    spreads,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("num", [2, 3, 10])
def test_the_paired_test_is_scipys(num):
    first, second = RNG.normal(40, 1, (2, 50, num))
    assert paired_p(first - second) == pytest.approx(scipy_stats.ttest_rel(first, second, axis=-1).pvalue)


def test_missing_pairs_are_left_out_of_the_paired_test():
    d = np.array([1.0, np.nan, 2.5, 0.5, np.nan])
    assert paired_p(d) == pytest.approx(scipy_stats.ttest_1samp([1.0, 2.5, 0.5], 0).pvalue)


def test_what_cannot_be_tested_has_no_p_value():
    one_pair, none, equal = [1.0, np.nan], [np.nan, np.nan], [0.1 + 0.2, 0.3]
    assert np.isnan(paired_p([one_pair, none, equal])).all()
    assert paired_p([0.0, 0.0]) == 1.0


def test_holm_is_the_definition():
    """By hand: 4 x 0.005, 3 x 0.01, then 2 x 0.03, and 0.04, which may not fall below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]).tolist() == [1.0, 1.0]
    with_gap = holm([0.01, np.nan, 0.04])
    assert np.isnan(with_gap[1])
    assert with_gap[[0, 2]] == pytest.approx([0.02, 0.04])
    assert holm([[0.01, 0.04], [0.5, 0.001]]) == pytest.approx(np.array([[0.02, 0.04], [0.5, 0.002]]))
    assert holm([]).size == 0


def test_the_residuals_are_those_of_the_textbooks_analysis_of_variance():
    x = RNG.normal([40, 41, 42, 43], 1, (5, 4))
    rest = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
    found = residuals(x)
    assert (found.squares, found.df, found.num_others) == (pytest.approx((rest**2).sum()), 12, 2.0)
    gap = residuals(
        np.vstack([x, [np.nan, 50.0, np.nan, np.nan]])
    )  # a block with one method says nothing about methods
    assert (gap.squares, gap.df, gap.num_others) == (pytest.approx(found.squares), 12, 2.0)
    x[0, 0] = np.nan
    assert residuals(x).df == 11
    assert residuals(x).num_others < 2


@pytest.mark.parametrize("values", [np.zeros((0, 3)), [[1.0, 2.0]], [[1.0], [2.0]]])
def test_one_block_or_one_method_leaves_no_residuals(values):
    assert residuals(values) == Residuals(pytest.approx(0), 0, 0)


def test_two_methods_alone_are_compared_by_the_paired_t_test():
    x = RNG.normal([40, 41], 1, (5, 2))
    expected = scipy_stats.ttest_rel(x[:, 0], x[:, 1]).pvalue
    assert moderated_p(spreads(x[:, 0] - x[:, 1], residuals(x))) == pytest.approx(expected)


@pytest.mark.parametrize(("num_methods", "borrowed"), [(3, 1), (5, 3), (8, 6), (20, 6)])
def test_the_moderated_test_averages_the_variances_of_the_pair_and_of_the_others(num_methods, borrowed):
    """The others': what the contrasts orthogonal to the pair's vary by, here from an explicit basis of them."""
    x = RNG.normal(0, 1, (3, num_methods))
    contrasts = scipy_stats.ortho_group(num_methods, seed=0).rvs()
    contrasts[0], contrasts[1] = 1, np.eye(num_methods)[0] - np.eye(num_methods)[1]
    basis = np.linalg.qr(contrasts.T)[0].T[2:]
    others = (x @ basis.T).var(axis=0, ddof=1).mean() * 2
    d = x[:, 0] - x[:, 1]
    variance = (2 * d.var(ddof=1) + borrowed * others) / (2 + borrowed)
    expected = 2 * scipy_stats.t.sf(abs(d.mean()) / np.sqrt(variance / 3), 2 + borrowed)
    assert moderated_p(spreads(d, residuals(x))) == pytest.approx(expected)


def test_equal_differences_are_tested_where_other_methods_show_a_spread():
    x = np.array([[40.0, 30.0, 20.0], [41.0, 31.0, 25.0], [42.0, 32.0, 21.0]])
    found = moderated_p(spreads([x[:, 0] - x[:, 1], x[:, 0] - x[:, 2], [10.0, np.nan, np.nan]], residuals(x)))
    assert 0 < found[0] < 0.05
    assert math.isnan(found[2])
    assert math.isnan(moderated_p(spreads(x[:, 0] - x[:, 1], residuals(x[:, :2]))))


def test_the_excess_of_a_pair_is_told_from_its_other_places_and_never_below_1():
    assert excess([12.0, 2.0, 1.0], [2, 2, 1]).tolist() == [1.0, 13 / 3, 3.5]
    assert excess([[9.0], [0.0]], [[2], [0]]).tolist() == [[1.0], [1.0]]
    assert excess([9.0, 0.0], [2, 0]).tolist() == [1.0, 4.5], "a place where nothing is lent tells nothing"


def test_the_spread_of_a_pair_is_told_in_units_of_that_of_the_others():
    d = np.array([[1.0, 3.0, 5.0], [1.0, 3.0, 5.0]])
    around = Residuals(np.array([6.0, 4.0]), np.array([6, 2]), np.array([2.0, 0.0]))
    squares, df = spreads(d, around).relative
    assert squares.tolist() == [8.0 / ((12 - 8) / 4), 0.0]
    assert df.tolist() == [2, 0]


def test_a_pair_that_varies_more_elsewhere_is_judged_more_carefully():
    x = RNG.normal([40, 42, 40, 40], 1, (3, 4))
    found = spreads(x[:, 1] - x[:, 0], residuals(x))
    assert moderated_p(found, 4.0) > moderated_p(found)


def test_the_moderated_test_is_exact_for_methods_of_one_spread():
    """Conservative by a little where the others lend less than they have."""
    x = np.random.default_rng(1).normal(40, 1, (4000, 3, 8))
    p = [moderated_p(spreads(own[:, 0] - own[:, 1], residuals(own))) for own in x]
    assert 0.03 <= np.mean(np.array(p) < 0.05) <= 0.055


@pytest.mark.parametrize(("num", "tests", "power"), [(2, 1, 0.8), (3, 15, 0.8), (5, 15, 0.5), (10, 1, 0.95)])
def test_the_smallest_difference_is_found_with_the_power_stated(num, tests, power):
    alpha = ALPHA / tests
    delta = smallest_difference(2.0, num, alpha=alpha, power=power)
    found = paired_p(RNG.normal(delta, 2.0, (20_000, num))) < alpha
    assert found.mean() == pytest.approx(power, abs=0.012)


@pytest.mark.parametrize(("num", "tests"), [(2, 1), (2, 400), (3, 180), (100, 15)])
def test_the_smallest_difference_agrees_with_scipys_noncentral_t(num, tests):
    alpha = ALPHA / tests
    shift = smallest_difference(1.0, num, alpha=alpha) * num**0.5
    power = scipy_stats.nct.sf(scipy_stats.t.isf(alpha / 2, num - 1), num - 1, shift)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_one_pair_can_show_nothing():
    assert math.isnan(smallest_difference(1.0, 1))


@pytest.mark.parametrize(("num", "num_methods", "num_places"), [(2, 8, 1), (3, 8, 4), (5, 3, 2), (10, 8, 2)])
def test_the_smallest_difference_of_the_moderated_test_is_found_with_the_power_stated(num, num_methods, num_places):
    alpha = ALPHA / math.comb(num_methods, 2)
    delta = smallest_difference(2**0.5, num, num_others=num_methods - 2, num_places=num_places, alpha=alpha)
    x = RNG.normal(0, 1, (10_000, num_places, num, num_methods))
    x[..., 0] += delta
    rest = x - x.mean(2, keepdims=True) - x.mean(3, keepdims=True) + x.mean((2, 3), keepdims=True)
    place = Residuals((rest**2).sum((2, 3)), (num_methods - 1) * (num - 1), num_methods - 2)
    found = spreads(x[..., 0] - x[..., 1], place)
    assert (moderated_p(found, excess(*found.relative)) < alpha).mean() == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("wrong", [{"power": 0.4}, {"alpha": 0}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValueError, match="|".join(f"{name} {value}" for name, value in wrong.items())):
        smallest_difference(1.0, 3, **wrong)


def test_the_table_of_smallest_differences_in_the_docs_is_what_the_code_says():
    """Two IPCs and two test models: four places, one table's 2.5 %."""
    text = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text()
    lines = text.split("<!-- smallest differences -->\n")[1].split("\n\n")[0].splitlines()[2:]
    for line in lines:
        num, *told = (float(cell) for cell in line.strip("|").split("|"))
        found = [
            smallest_difference(
                2**0.5, int(num), num_others=methods - 2, num_places=4, alpha=ALPHA / 2 / (4 * math.comb(methods, 2))
            )
            for methods in (2, 4, 8)
        ]
        assert told == [round(one, 1) for one in found]
    assert len(lines) == 4
