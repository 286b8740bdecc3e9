"""Is one method better than another: paired tests over common seeds, Holm's correction, and what they can find.

In: differences of observations, as `harness.stats` defines them. Out: p values. Assumed: differences are independent and
near normal, and so are the residuals of a place.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]

ALPHA = 0.05
"""Chance of one false difference or more on a page where no true one is."""

POWER = 0.8
"""Chance to find a difference of the size that `smallest_difference` returns."""

BORROWED_PER_METHOD, MOST_BORROWED = 2 / 3, 4.0
"""Observations that the spread of each other method counts for, and that of all of them at most: see `moderated_p`."""

FLOAT_NOISE = 1e-9
"""Deviations below this are rounding of floats: one image of ten million test images is 1e-5 percent."""


def paired_p(differences: ArrayLike) -> Floats:
    """Return the two-sided p values of paired t tests, each with its own spread alone.

    Args:
        differences: shape (..., N): differences of N pairs, NaN for a pair that is missing.

    Returns:
        Shape (...). NaN, no test, below two pairs. NaN too where all differences are equal and not zero: accuracies are
        multiples of one test image, two or three equal differences happen by chance, and no spread can be estimated
        from them (the t statistic would be infinite). 1 where all differences are zero.
    """
    return moderated_p(differences, Residuals(0.0, 0, 0.0))


@dataclass(frozen=True)
class Residuals:
    """What methods and seeds leave unexplained in a place.

    Attributes:
        squares: sum of squares, in squared units of the values.
        df: degrees of freedom.
        num_others: methods besides two, as many as these degrees of freedom amount to; no whole number where some miss.
    """

    squares: float | Floats
    df: int | Floats
    num_others: float | Floats


def residuals(values: ArrayLike) -> Residuals:
    """Return the residuals of a two-way analysis of variance without interaction, each observation being a block.

    By least squares, so that values may be missing.

    Args:
        values: shape (N, M): N observations (rows) of M methods, NaN where one is missing.
    """
    values_NM = np.asarray(values, dtype=float)
    there = ~np.isnan(values_NM)
    rows, columns = np.nonzero(there)
    y = values_NM[rows, columns]
    design = np.hstack([np.eye(size)[index] for size, index in zip(values_NM.shape, (rows, columns), strict=True)])
    solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    df, num_blocks = len(y) - int(rank), int((there.sum(axis=1) > 1).sum())
    others = max(0.0, df / (num_blocks - 1) - 1) if num_blocks > 1 else 0.0
    return Residuals(float(((y - design @ solution) ** 2).sum()), df, others)


def borrowed(num_others: ArrayLike) -> Floats:
    """Return for how many observations the spread of so many other methods counts."""
    return np.minimum(BORROWED_PER_METHOD * np.asarray(num_others, dtype=float), MOST_BORROWED)


def moderated_p(differences: ArrayLike, place: Residuals) -> Floats:
    """Return the two-sided p values of moderated paired t tests.

    Three differences say little about their spread. So their variance is averaged with the one that the other methods
    of the place would give a difference, and that counts for `borrowed` further observations, in the average and in the
    degrees of freedom. The two variances are independent where all values are there and normal.
    Source: Smyth, Linear models and empirical Bayes methods for assessing differential expression in microarray
    experiments, 2004. Paper: the weight is estimated, from thousands of genes. Here: fixed and small, because a few
    methods cannot tell whether one of them varies more than the rest: so a page's false differences stay within 5 %
    where one method's spread is three times that of the others (tests/test_false_differences.py).

    Args:
        differences: shape (..., N): differences of N pairs, NaN for a pair that is missing.
        place: residuals of all methods of the place, those of the pair among them; arrays of shape (...) for several
            places. Without other methods this is `paired_p`.

    Returns:
        Shape (...). NaN, no test, below two pairs, and where nothing varies though the methods differ; 1 where nothing
        varies and they are equal.
    """
    d = np.asarray(differences, dtype=float)
    there = ~np.isnan(d)
    n = there.sum(axis=-1)
    own_df = np.maximum(n - 1, 0)
    filled = np.where(there, d, 0.0)
    mean = filled.sum(axis=-1) / np.maximum(n, 1)
    squares = np.where(there, (d - mean[..., None]) ** 2, 0.0).sum(axis=-1)
    df_others = np.maximum(place.df - own_df, 0)
    variance_others = np.maximum(2 * place.squares - squares, 0.0) / np.maximum(df_others, 1)
    weight = np.minimum(borrowed(place.num_others), df_others)
    df = np.maximum(own_df + weight, 1)
    std = np.sqrt((squares + weight * variance_others) / df)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / (std / np.sqrt(n))
    p = 2 * stats.t.sf(np.abs(t), df)
    p = np.where(std < FLOAT_NOISE, np.where(np.abs(mean) < FLOAT_NOISE, 1.0, np.nan), p)
    return np.where(n < 2, np.nan, p)


def holm(p: ArrayLike) -> Floats:
    """Return Holm's adjusted p values: rejecting those below alpha errs at all with probability alpha at most.

    Args:
        p: shape (..., M): M tests of one family; NaN stands for no test, stays NaN and does not count.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics, 1979.
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, axis=-1)  # NaN last
    steps = np.sum(~np.isnan(p), axis=-1)[..., None] - np.arange(p.shape[-1])
    scaled = np.minimum(np.take_along_axis(p, order, axis=-1) * steps, 1.0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(scaled, axis=-1), axis=-1)
    return adjusted


def smallest_difference(
    std: float, num_pairs: int, *, num_others: float = 0, alpha: float = ALPHA, power: float = POWER
) -> float:
    """Return the smallest true difference that a moderated test of so many pairs finds with probability `power`.

    Solved numerically, for methods of one spread; the chance to find it with the wrong sign is left out (below 1e-3 at
    these powers).

    Args:
        std: standard deviation of the differences, in the unit wanted.
        num_pairs: pairs.
        num_others: methods besides the two that lend their spread; 0: the paired t test.
        alpha: level of the test; divided by M for M comparisons, which is what Holm's first step asks for.
        power: at least 0.5, below 1.

    Returns:
        A difference in the unit of `std`; NaN below two pairs.

    Raises:
        ValueError: alpha is not between 0 and 1, or power not in [0.5, 1).
    """
    if not 0 < alpha < 1 or not 0.5 <= power < 1:
        raise ValueError(f"alpha {alpha} must lie between 0 and 1 and power {power} in [0.5, 1)")
    return _smallest_shift(num_pairs, num_others, alpha, power) * std / np.sqrt(num_pairs) if num_pairs > 1 else np.nan


@functools.cache
def _smallest_shift(num_pairs: int, num_others: float, alpha: float, power: float) -> float:
    """Return the difference in standard errors."""
    df, df_others, weight = num_pairs - 1, num_others * (num_pairs - 1), float(borrowed(num_others))
    critical = float(stats.t.isf(alpha / 2, df + weight))
    one_miss = 1 - (1 - power) / 3  # each of three variables spoils the test this seldom: at most 1 - power together
    worst = stats.chi2.ppf(one_miss, df) + (weight * stats.chi2.ppf(one_miss, df_others) / df_others if weight else 0)
    most = critical * np.sqrt(worst / (df + weight)) + stats.norm.ppf(one_miss)
    return float(optimize.brentq(lambda shift: _power(shift, critical, df, num_others) - power, 0.0, float(most)))


def _power(shift: float, critical: float, df: int, num_others: float) -> float:
    """Return P((Z + shift) / S > critical), Z standard normal and S the moderated standard deviation where the true is 1.

    Integrated over Z and, at 32 quantiles, over the variance of the others. The integrand is smooth at every critical
    value; scipy's noncentral t fails (scipy 1.17: not a number, or an error) at the large critical values that many
    comparisons over few seeds ask for.
    """
    weight, df_others = float(borrowed(num_others)), num_others * df
    others = stats.chi2.ppf((np.arange(32) + 0.5) / 32, df_others) / df_others if weight else np.zeros(1)
    z, step = np.linspace(-9, 9, 3601, retstep=True)
    most_squares = (df + weight) * (np.maximum(z + shift, 0) / critical) ** 2 - weight * others[:, None]
    return float(np.sum(stats.norm.pdf(z) * stats.chi2.cdf(most_squares, df).mean(axis=0)) * step)
