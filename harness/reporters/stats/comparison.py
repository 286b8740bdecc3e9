"""Do two methods differ: Welch's t test with moderated variances, Holm's correction, and what the test can detect.

In: variances and degrees of freedom of the methods of a table. Out: p values. Assumed: observations (`stats.summary`) are
independent and near normal; methods may have different variances.

Three trainings say little about their variance. So each method's variance is moderated by those of all methods
(`variance_prior`, `moderated`), as limma does it for genes. tests/reporters/stats/simulate_ranks.py compares this with
Tukey's HSD, Games and Howell's test and limma as published; docs/statistics.md has the result.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]


ALPHA = 0.05
"""Probability of at least one false claim in a table whose methods do not differ."""


POWER = 0.8
"""Probability to detect a difference of the size that `smallest_difference` returns."""


FLOAT_NOISE = 1e-9
"""Standard deviations below this are rounding of floats: one image of ten million test images is 1e-5 percent."""


_SMALLEST_SHARE = 1e-5
"""Of the median variance; smaller ones count as this (limma's `fitFDist`), because their logarithm is infinite."""


@dataclass(frozen=True)
class Prior:
    """Scaled inverse chi-squared distribution of the methods' variances (Smyth's s0^2 and d0).

    Attributes:
        variance: in squared units of the values, shape (...).
        df: degrees of freedom, shape (...): 0 for no prior, infinite where the variances differ by chance only.
    """

    variance: Floats
    df: Floats


def variance_prior(variances: ArrayLike, df: ArrayLike) -> Prior:
    """Estimate the distribution that the variances of a table's methods come from.

    Args:
        variances: shape (..., G): sample variances.
        df: shape (G,) or (..., G): their degrees of freedom, 1 or more.

    Returns:
        Arrays of shape (...). No prior (0 degrees of freedom) for fewer than two variances, and where all are zero.

    Source: Smyth, Linear models and empirical Bayes methods for assessing differential expression in microarray
    experiments, Statistical Applications in Genetics and Molecular Biology 3 (2004), section 6.2: the mean and the
    variance of the log variances are matched. Where they vary no more than by chance, the pooled variance, as in limma.
    """
    s2 = np.asarray(variances, dtype=float)
    d = np.broadcast_to(np.asarray(df, dtype=float), s2.shape)
    none = s2.shape[-1] < 2 or s2.max(axis=-1) <= FLOAT_NOISE**2
    if s2.shape[-1] < 2:
        return Prior(np.zeros(s2.shape[:-1]), np.zeros(s2.shape[:-1]))
    usual = np.median(s2, axis=-1, keepdims=True)
    usual = np.where(usual > FLOAT_NOISE**2, usual, s2.mean(axis=-1, keepdims=True))
    logs = np.log(np.maximum(s2, np.maximum(_SMALLEST_SHARE * usual, np.finfo(float).tiny)))
    logs = logs - special.digamma(d / 2) + np.log(d / 2)
    excess = logs.var(axis=-1, ddof=1) - special.polygamma(1, d / 2).mean(axis=-1)
    half = _inverse_trigamma(np.where(excess > 0, excess, 1.0))
    from_logs = np.exp(logs.mean(axis=-1) + special.digamma(half) - np.log(half))
    pooled = (s2 * d).sum(axis=-1) / d.sum(axis=-1)
    prior_df = np.where(excess > 0, 2 * half, np.inf)
    return Prior(np.where(none, 0.0, np.where(excess > 0, from_logs, pooled)), np.where(none, 0.0, prior_df))


def _inverse_trigamma(x: Floats) -> Floats:
    """Return y with trigamma(y) = x > 0, by the Newton iteration of Smyth's appendix, which converges monotonically."""
    y = 0.5 + 1 / x
    for _ in range(50):
        trigamma = special.polygamma(1, y)
        step = trigamma * (1 - trigamma / x) / special.polygamma(2, y)
        y = y + step
        if np.all(-step < 1e-8 * y):
            break
    return np.asarray(np.where(x < 1e-6, 1 / x, y))


def moderated(variances: ArrayLike, df: ArrayLike, prior: Prior) -> tuple[Floats, Floats]:
    """Return variances moderated by their prior, and their degrees of freedom; both of shape (..., G).

    Paper: the average of prior and own variance, weighted by their degrees of freedom, which add up (Smyth 2004); at
    most the pooled degrees of freedom (limma). Here: never below the method's own variance, because among few methods
    one that varies much more than the others makes false claims otherwise (13 % of tables in place of 5 %). Anders and
    Huber do so with dispersions (Differential expression analysis for sequence count data, Genome Biology, 2010).

    Args:
        variances, df: as for `variance_prior`.
        prior: of these variances.
    """
    s2 = np.asarray(variances, dtype=float)
    d = np.broadcast_to(np.asarray(df, dtype=float), s2.shape)
    prior_df, prior_variance = np.asarray(prior.df)[..., None], np.asarray(prior.variance)[..., None]
    weight = np.where(np.isinf(prior_df), 1.0, prior_df / (np.where(np.isinf(prior_df), 0.0, prior_df) + d))
    average = weight * prior_variance + (1 - weight) * s2
    return np.maximum(average, s2), np.minimum(prior_df + d, np.where(prior_df > 0, d.sum(axis=-1, keepdims=True), d))


def welch_p(differences: ArrayLike, variances: tuple[Floats, Floats], df: tuple[Floats, Floats]) -> Floats:
    """Return the two-sided p values of Welch's t test.

    Paper: degrees of freedom by Satterthwaite's formula. Here: the smaller of the two, which errs on the safe side;
    the formula is too optimistic where many tests ask for p values of 1e-4 from three seeds.

    Args:
        differences: of two means, shape (...).
        variances: of the two means (squared standard errors), each of shape (...).
        df: their degrees of freedom, each of shape (...).

    Returns:
        Shape (...). NaN, no test, where nothing varies though the means differ; 1 where they are equal.
    """
    d, error = np.asarray(differences, dtype=float), np.sqrt(variances[0] + variances[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(d / error), np.minimum(*df))
    return np.where(error > FLOAT_NOISE, p, np.where(np.abs(d) < FLOAT_NOISE, 1.0, np.nan))


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


def among_best(differences: ArrayLike, p: ArrayLike) -> NDArray[np.bool_]:
    """Return which methods share the best place with the highest mean: all above the first that is significantly worse.

    Hsu's multiple comparisons with the best: one-sided tests of every other method against the highest mean. The best
    method is among those returned in about 95 % of tables or more (docs/statistics.md has the simulated shares).
    Paper: Dunnett's critical value, for equal variances; each method for itself. Here: Welch's tests and Bonferroni's
    correction, because methods have different variances; the first significantly worse method ends the group, so that
    it never contradicts the order of the means.

    Args:
        differences: shape (..., M): highest mean minus the mean of each of the M other methods, ascending.
        p: shape (..., M): two-sided p values of these differences; NaN, no test, keeps a method.

    Source: Hsu, Constrained simultaneous confidence intervals for multiple comparisons with the best, Annals of
    Statistics 12 (1984).
    """
    d, p = np.asarray(differences, dtype=float), np.asarray(p, dtype=float)
    one_sided = np.where(d > 0, p / 2, 1 - p / 2)
    return np.logical_and.accumulate(~(one_sided * p.shape[-1] < ALPHA), axis=-1)


def smallest_difference(error: float, df: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the smallest true difference that a t test detects with probability `power`.

    Solved numerically; the chance to claim it with the wrong sign is left out (below 1e-3 at these powers).

    Args:
        error: standard error of the difference, in the unit wanted.
        df: its degrees of freedom.
        alpha: level of the test; divided by M for M comparisons, which is Holm's first step.
        power: at least 0.5, below 1.

    Returns:
        A difference in the unit of `error`; NaN without a degree of freedom.

    Raises:
        ValueError: alpha is not between 0 and 1, or power not in [0.5, 1).
    """
    if not 0 < alpha < 1 or not 0.5 <= power < 1:
        raise ValueError(f"alpha {alpha} must lie between 0 and 1 and power {power} in [0.5, 1)")
    return float("nan") if not df > 0 else error * _smallest_shift(float(df), alpha, power)


@functools.cache
def _smallest_shift(df: float, alpha: float, power: float) -> float:
    """Return the difference in standard errors."""
    critical = float(stats.t.isf(alpha / 2, df))
    one_miss = (1 + power) / 2  # each of two variables spoils the test this seldom: at most 1 - power together
    most = critical * np.sqrt(stats.chi2.ppf(one_miss, df) / df) + stats.norm.ppf(one_miss)
    return float(optimize.brentq(lambda shift: _power(shift, critical, df) - power, 0.0, float(most)))


def _power(shift: float, critical: float, df: float) -> float:
    """Return P((Z + shift) / S > critical), Z standard normal, S the standard deviation from `df` degrees of freedom.

    Integrated over Z, because scipy's noncentral t fails (scipy 1.17: not a number, or an error) at the large critical
    values that many comparisons over few seeds ask for.
    """
    z, step = np.linspace(-9, 9, 3601, retstep=True)
    most_squares = df * (np.maximum(z + shift, 0) / critical) ** 2
    return float(np.sum(stats.norm.pdf(z) * stats.chi2.cdf(most_squares, df)) * step)
