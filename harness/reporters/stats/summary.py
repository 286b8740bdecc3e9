"""Statistics of repeated trainings: spread, interval, variance split, places. Tests stand in `stats.comparison`.

In: numbers, and which distilled set each came from. Out: numbers. It knows neither records nor tables; no pandas, no torch.

What counts as one observation. Students trained on one distilled set share its luck: they are not independent draws of
what the method does. So with two or more distillation seeds an observation is the mean over the training seeds of one
set; with one distillation seed it is a training seed, and all that is said is about that one set.
Assumed: observations are independent and near normal. Trainings on different sets draw from different streams, whatever
their training seed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]


LEVEL = 0.95
"""Coverage of the intervals."""


@dataclass(frozen=True)
class Summary:
    """One group of runs.

    Attributes:
        num_runs: values.
        mean, std: of all values; std is the sample's (n - 1), NaN for one value.
        num_observations: distilled sets where there are two or more, else runs (see the module's text).
        low, high: the t interval of the mean over the observations; NaN below two of them.
    """

    num_runs: int
    mean: float
    std: float
    num_observations: int
    low: float
    high: float


def summarise(values: ArrayLike, sets: ArrayLike | None = None, level: float = LEVEL) -> Summary:
    """Return number, mean, sample standard deviation and t interval of one group of runs.

    Args:
        values: one a run; NaN is not allowed.
        sets: the distillation seed of each; None: one distilled set.
        level: coverage of the interval, between 0 and 1.

    Raises:
        ValueError: the lengths differ, a value is NaN, or the level is not between 0 and 1.
    """
    values_N = np.asarray(values, dtype=float)
    observed = observations(values_N, np.zeros(len(values_N)) if sets is None else sets)
    mean = float(values_N.mean()) if len(values_N) else float("nan")
    std = float(values_N.std(ddof=1)) if len(values_N) > 1 else float("nan")
    return Summary(len(values_N), mean, std, len(observed), *t_interval(observed, level))


def observations(values: ArrayLike, sets: ArrayLike) -> Floats:
    """Return what counts as independent: the mean of each distilled set, or the values where there is one set only.

    Raises:
        ValueError: the lengths differ, or a value is NaN.
    """
    values_N, sets_N = np.asarray(values, dtype=float), np.asarray(sets)
    if values_N.shape != sets_N.shape or values_N.ndim != 1:
        raise ValueError(f"one distilled set for each value is needed; found {sets_N.shape} for {values_N.shape}")
    if np.isnan(values_N).any():
        raise ValueError("a value is NaN; leave out the runs that did not finish")
    names = sets_N[:1] if (sets_N == sets_N[:1]).all() else np.unique(sets_N)  # unique sorts, 50 times slower
    if len(names) < 2:
        return values_N
    return np.array([values_N[sets_N == name].mean() for name in names])


def t_interval(values: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval that covers the mean of normal values with probability `level`; NaN below two values.

    Raises:
        ValueError: the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} must lie between 0 and 1, such as 0.95")
    values_N = np.asarray(values, dtype=float)
    if len(values_N) < 2:
        return float("nan"), float("nan")
    half = _critical(level, len(values_N) - 1) * values_N.std(ddof=1) / np.sqrt(len(values_N))
    return float(values_N.mean() - half), float(values_N.mean() + half)


@functools.cache
def _critical(level: float, df: int) -> float:
    """Return the t that is exceeded on either side with probability 1 - level; kept, because scipy is slow with scalars."""
    return float(stats.t.ppf((1 + level) / 2, df))


@dataclass(frozen=True)
class VarianceSplit:
    """Variances, in squared units of the values: of the distilled sets, and of trainings on one set."""

    distillation: float
    training: float

    @property
    def distillation_share(self) -> float:
        """Return the share of the distillation seeds in the variance of one run; NaN where nothing varies."""
        total = self.distillation + self.training
        return self.distillation / total if total > 0 else float("nan")


def variance_split(values: ArrayLike, sets: ArrayLike) -> VarianceSplit:
    """Split the variance of runs between distillation seeds and training seeds.

    One-way random effects, by analysis of variance; sets may have different numbers of runs. A negative estimate for
    the distillation seeds becomes 0: the sets differ by less than their trainings would make them differ.

    Args:
        values: one a run.
        sets: the distillation seed of each.

    Returns:
        NaN in both where they cannot be told apart: fewer than two sets, or no set with two trainings.

    Raises:
        ValueError: the lengths differ, or a value is NaN.
    """
    values_N, sets_N = np.asarray(values, dtype=float), np.asarray(sets)
    means = observations(values_N, sets_N)
    names, sizes = np.unique(sets_N, return_counts=True)
    num, runs = len(names), len(values_N)
    if num < 2 or runs == num:
        return VarianceSplit(float("nan"), float("nan"))
    within = sum(((values_N[sets_N == name] - values_N[sets_N == name].mean()) ** 2).sum() for name in names)
    within /= runs - num
    between = (sizes * (means - values_N.mean()) ** 2).sum() / (num - 1)
    per_set = (runs - (sizes**2).sum() / runs) / (num - 1)
    return VarianceSplit(float(max(0.0, (between - within) / per_set)), float(within))


def places(means: ArrayLike, worse: ArrayLike) -> list[int | None]:
    """Return standard competition ranks ("1224") in which methods that do not differ significantly share a rank.

    In the order of the means, a method gets a new rank, its position, only if it is significantly worse than the first
    method of the present rank. So a rank never contradicts the means; two methods of one rank may differ significantly
    from each other, because each was compared with the first.

    Args:
        means: shape (M,); NaN for a method that is not ranked.
        worse: shape (M, M): whether the column's method is significantly worse than the row's.

    Returns:
        One a method; None for one that is not ranked, and for a lone one.
    """
    means_M, worse_MM = np.asarray(means, dtype=float), np.asarray(worse, dtype=bool)
    found: list[int | None] = [None] * len(means_M)
    order = [int(i) for i in np.argsort(-means_M, kind="stable") if not np.isnan(means_M[i])]
    if len(order) < 2:
        return found
    first, rank = order[0], 1
    for position, i in enumerate(order, start=1):
        if worse_MM[first, i]:
            first, rank = i, position
        found[i] = rank
    return found
