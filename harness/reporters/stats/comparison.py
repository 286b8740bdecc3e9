"""Is one method better than another: paired tests over common seeds, Holm's correction, and what they can find.

In: differences of observations, as `stats.summary` defines them. Out: p values. Assumed: differences are independent and
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


MOST_BORROWED = 6.0
"""Observations that the spread of the other methods counts for at most: see `moderated_p`."""


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
    return moderated_p(spreads(differences, Residuals(0.0, 0, 0.0)))


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


def borrowed(num_others: ArrayLike, df_others: ArrayLike) -> Floats:
    """Return for how many observations the other methods' spread counts: one each, half of its degrees of freedom at most."""
    most = np.minimum(np.asarray(num_others, dtype=float), MOST_BORROWED)
    return np.minimum(most, np.asarray(df_others, dtype=float) / 2)


@dataclass(frozen=True)
class Spreads:
    """What is known of the spread of pairs of methods in a place; arrays of shape (...).

    Attributes:
        num, mean: of the differences that are there.
        squares, df: sum of squared deviations of the differences, and its degrees of freedom.
        lent: variance that the other methods of the place would give a difference; 0 for none.
        weight: observations that it counts for.
    """

    num: NDArray[np.int64]
    mean: Floats
    squares: Floats
    df: NDArray[np.int64]
    lent: Floats
    weight: Floats

    @property
    def relative(self) -> tuple[Floats, Floats]:
        """Return squares in units of the variance lent, and their degrees of freedom; both 0 where nothing is lent."""
        there = self.lent > FLOAT_NOISE**2
        return np.where(there, self.squares / np.where(there, self.lent, 1.0), 0.0), np.where(there, self.df, 0.0)


def spreads(differences: ArrayLike, place: Residuals) -> Spreads:
    """Return what the differences and the other methods of their place say of the spread.

    Args:
        differences: shape (..., N): differences of N pairs, NaN for a pair that is missing.
        place: residuals of all methods of the place, those of the pair among them; arrays of shape (...) for several
            places.
    """
    d = np.asarray(differences, dtype=float)
    there = ~np.isnan(d)
    num = there.sum(axis=-1)
    mean = np.where(there, d, 0.0).sum(axis=-1) / np.maximum(num, 1)
    squares = np.where(there, (d - mean[..., None]) ** 2, 0.0).sum(axis=-1)
    df = np.maximum(num - 1, 0)
    df_others = np.maximum(place.df - df, 0)
    lent = np.maximum(2 * place.squares - squares, 0.0) / np.maximum(df_others, 1)
    return Spreads(num, mean, squares, df, lent, borrowed(place.num_others, df_others))


def excess(squares: ArrayLike, df: ArrayLike) -> Floats:
    """Return how many times the variance lent a pair varies by, told from all places but each one; 1 at least.

    Args:
        squares, df: shape (..., R): `Spreads.relative` of one pair of methods at R places.
    """
    squares, df = np.asarray(squares, dtype=float), np.asarray(df, dtype=float)
    elsewhere = squares.sum(axis=-1, keepdims=True) - squares
    return np.maximum(1.0, elsewhere / np.maximum(df.sum(axis=-1, keepdims=True) - df, 1.0))


def moderated_p(found: Spreads, excess: ArrayLike = 1.0) -> Floats:
    """Return the two-sided p values of moderated paired t tests.

    Three differences say little about their spread. So their variance is averaged with the one that the other methods
    of the place would give a difference, times `excess`, and that counts for `borrowed` further observations, in the
    average and in the degrees of freedom. The two are independent where all values are there and normal.
    Source: Smyth, Linear models and empirical Bayes methods for assessing differential expression in microarray
    experiments, 2004. Paper: the weight is estimated, from thousands of genes. Here: fixed and small, because a few
    methods cannot tell whether one of them varies more than the rest: so a page's false differences stay within 5 %
    where one method's spread is five times that of the others (tests/reporters/stats/test_false_differences.py).

    Returns:
        Shape (...). NaN, no test, below two pairs, and where nothing varies though the methods differ; 1 where nothing
        varies and they are equal. Without other methods this is `paired_p`.
    """
    df = np.maximum(found.df + found.weight, 1)
    std = np.sqrt((found.squares + found.weight * found.lent * np.asarray(excess)) / df)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = found.mean / (std / np.sqrt(found.num))
    p = 2 * stats.t.sf(np.abs(t), df)
    p = np.where(std < FLOAT_NOISE, np.where(np.abs(found.mean) < FLOAT_NOISE, 1.0, np.nan), p)
    return np.where(found.num < 2, np.nan, p)


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
    std: float,
    num_pairs: int,
    *,
    num_others: float = 0,
    num_places: int = 1,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """Return the smallest true difference that a moderated test of so many pairs finds with probability `power`.

    Solved numerically, for methods of one spread; the chance to find it with the wrong sign is left out (below 1e-3 at
    these powers).

    Args:
        std: standard deviation of the differences, in the unit wanted.
        num_pairs: pairs.
        num_others: methods besides the two that lend their spread; 0: the paired t test.
        num_places: places that tell how much the pair varies (see `excess`).
        alpha: level of the test; divided by M for M comparisons, which is what Holm's first step asks for.
        power: at least 0.5, below 1.

    Returns:
        A difference in the unit of `std`; NaN below two pairs.

    Raises:
        ValueError: alpha is not between 0 and 1, or power not in [0.5, 1).
    """
    if not 0 < alpha < 1 or not 0.5 <= power < 1:
        raise ValueError(f"alpha {alpha} must lie between 0 and 1 and power {power} in [0.5, 1)")
    if num_pairs < 2:
        return float("nan")
    df, variances = num_pairs - 1, _variances_lent(num_pairs - 1, num_others, num_places)
    return (
        _smallest_shift(df, float(borrowed(num_others, num_others * df)), variances, alpha, power)
        * std
        / num_pairs**0.5
    )


def _variances_lent(df: int, num_others: float, num_places: int) -> tuple[float, ...]:
    """Return 32 equally likely values of the variance lent, times its excess, where all true variances are 1.

    The excess, a mean of ratios of variances, is taken for one ratio: the pair's at all other places to that lent at one.
    Simulations find the power stated within 2 % (tests/reporters/stats/test_comparison.py).
    """
    if not num_others:
        return (0.0,)
    middle = (np.arange(32) + 0.5) / 32
    variances = stats.chi2.ppf(middle, num_others * df) / (num_others * df)
    if num_places > 1:
        elsewhere = (num_places - 1) * df
        variances = np.outer(variances, np.maximum(1, stats.f.ppf(middle, elsewhere, num_others * df))).ravel()
    return tuple(np.sort(variances).reshape(32, -1).mean(axis=1).tolist())


@functools.cache
def _smallest_shift(df: int, weight: float, variances: tuple[float, ...], alpha: float, power: float) -> float:
    """Return the difference in standard errors."""
    critical = float(stats.t.isf(alpha / 2, df + weight))
    one_miss = (1 + power) / 2  # each of two variables spoils the test this seldom: at most 1 - power together
    worst = np.sqrt((stats.chi2.ppf(one_miss, df) + weight * variances[-1]) / (df + weight))
    most = float(critical * worst + stats.norm.ppf(one_miss))
    return float(optimize.brentq(lambda shift: _power(shift, critical, df, weight, variances) - power, 0.0, most))


def _power(shift: float, critical: float, df: int, weight: float, variances: tuple[float, ...]) -> float:
    """Return P((Z + shift) / S > critical), Z standard normal and S the moderated standard deviation where the true is 1.

    Integrated over Z and over the equally likely variances lent. The integrand is smooth at every critical value; scipy's
    noncentral t fails (scipy 1.17: not a number, or an error) at the large critical values that many comparisons over few
    seeds ask for.
    """
    z, step = np.linspace(-9, 9, 3601, retstep=True)
    most_squares = (df + weight) * (np.maximum(z + shift, 0) / critical) ** 2 - weight * np.array(variances)[:, None]
    return float(np.sum(stats.norm.pdf(z) * stats.chi2.cdf(most_squares, df).mean(axis=0)) * step)
