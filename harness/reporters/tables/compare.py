"""Which methods of a table differ significantly: one test for every two methods of a place, one correction, shared ranks.

In: prepared records. Out: for every place of a table (an IPC, or an IPC and a test model) the tests between its methods
and the rank of each. What counts as one observation stands in `stats.summary`, the test in `stats.comparison`. The prior of the
variances and Holm's correction take all methods and places of the table together. Methods with fewer than
`FEWEST` observations are neither tested nor ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from harness.core.text import times
from harness.reporters.stats.comparison import (
    ALPHA,
    FLOAT_NOISE,
    POWER,
    Prior,
    among_best,
    holm,
    moderated,
    smallest_difference,
    variance_prior,
    welch_p,
)
from harness.reporters.stats.summary import LEVEL, observations, places

FEWEST = 3
"""Observations that a method needs for a rank: two say almost nothing about a variance."""


MORE_SEEDS = {5: "five", 10: "ten"}
"""Numbers of seeds that a caption proposes: the next above what there is, else twice as many."""


TOO_FEW = "Fewer than three seeds: no ranks and no significance tests."


@dataclass(frozen=True, slots=True)
class Pair:
    """Two methods of one place.

    Attributes:
        first, second: labels, the higher mean first.
        num: observations of each. One is a distilled set where there are two or more sets, else a training.
        difference: first minus second, means of the observations, percentage points.
        error: standard error of the difference, and `df` its degrees of freedom.
        interval: 95 % interval of the difference, for this pair alone.
        p: of the test; NaN where nothing varies.
        p_adjusted: by Holm, over all tests of the table.
    """

    first: str
    second: str
    num: tuple[int, int]
    difference: float
    error: float
    df: float
    interval: tuple[float, float]
    p: float
    p_adjusted: float

    @property
    def verdict(self) -> str:
        """Return "significant", "not significant" or "not tested"."""
        if np.isnan(self.p_adjusted):
            return "not tested"
        return "significant" if self.p_adjusted < ALPHA else "not significant"


@dataclass(frozen=True, eq=False)
class Contest:
    """The methods of one place.

    Attributes:
        pairs: every two methods with enough observations.
        prior_df: degrees of freedom of the prior of the table's variances.
        ranks: label -> rank; None for a method that was not tested and for a lone one.
        untested: methods that have a number, but of too few seeds.
    """

    pairs: tuple[Pair, ...] = ()
    prior_df: float = 0.0
    ranks: Mapping[str, int | None] = field(default_factory=dict)
    untested: tuple[str, ...] = ()

    @property
    def is_ranked(self) -> bool:
        """Return whether two or more methods were tested."""
        return any(self.ranks.values())

    def best(self) -> list[str]:
        """Return the highest mean and the methods that share its place (`among_best`); empty without a test."""
        if not self.is_ranked:
            return []
        highest = self.pairs[0].first
        others = [pair for pair in self.pairs if pair.first == highest]
        kept = among_best([pair.difference for pair in others], [pair.p for pair in others])
        return [highest, *(pair.second for pair, keep in zip(others, kept, strict=True) if keep)]

    def second(self) -> list[str]:
        """Return the highest mean below the best methods, alone; empty where there is none."""
        best = self.best()
        rest = [pair.second for pair in self.pairs if pair.first == self.pairs[0].first and pair.second not in best]
        return rest[:1]


def seed_scores(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return accuracies by pair of seeds (rows) and method (columns): the mean over students, NaN unless all finished.

    The students are those that any method finished here; a mean over fewer would compare methods on different students.
    """
    values = rows[metric].to_numpy()
    there = rows["done"].to_numpy() & ~np.isnan(values) & ~rows["reference_row"].to_numpy()
    done = rows[there]
    seeds = [done[f"{kind}_seed"].to_numpy(dtype=int, na_value=-1).tolist() for kind in ("distillation", "training")]
    own_pairs = list(zip(*seeds, strict=True))
    axes = {"student": list(done["student"]), "pair": own_pairs, "label": list(done["label"])}
    names = {axis: sorted(set(own)) if axis == "pair" else list(dict.fromkeys(own)) for axis, own in axes.items()}
    scores_SPM = np.full([len(own) for own in names.values()], np.nan)
    places = {axis: {name: place for place, name in enumerate(own)} for axis, own in names.items()}
    scores_SPM[tuple([places[axis][name] for name in own] for axis, own in axes.items())] = values[there]
    index = pd.MultiIndex.from_arrays([[pair[i] for pair in names["pair"]] for i in (0, 1)])
    return pd.DataFrame(_mean_of_first_axis(scores_SPM), index=index, columns=names["label"])


def _mean_of_first_axis(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis, NaN where one is missing; added up as pandas does, by Kahan's sum."""
    total, lost = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    for layer in values:
        term = layer - lost
        more = total + term
        lost, total = more - total - term, more
    return total / max(1, len(values))


@dataclass(frozen=True, eq=False)
class _Place:
    """The methods of a place that have enough observations, best first: labels, and arrays of shape (M,)."""

    labels: list[str]
    mean: np.ndarray
    variance: np.ndarray
    num: np.ndarray


def compare(scores: Mapping[Any, pd.DataFrame], means: Mapping[Any, Mapping[str, float]]) -> dict[Any, Contest]:
    """Test every two methods of every place of a table, and rank the methods of each place.

    Args:
        scores: place -> accuracies as `seed_scores` returns them.
        means: place -> label -> the mean that the table shows, NaN for none; it sets the order.
    """
    found = {place: _observed(own, means[place]) for place, own in scores.items()}
    if not found:
        return {}
    variances = np.concatenate([own.variance for own in found.values()])
    shared = any(len(own.labels) > 2 for own in found.values())  # two methods do not tell how variances are distributed
    nums = np.concatenate([own.num for own in found.values()])
    prior = variance_prior(variances, nums - 1) if shared else Prior(np.zeros(()), np.zeros(()))
    varied, result = bool(variances.any()), {}
    for place, own in _tested(found, moderated(variances, nums - 1, prior), varied=varied).items():
        labels = found[place].labels
        ranks = _ranks(own, labels, means[place]) if varied else dict.fromkeys(means[place])
        shown = [label for label, mean in means[place].items() if not np.isnan(mean)]
        untested = tuple(sorted(set(shown) - set(labels), key=shown.index))
        result[place] = Contest(tuple(own), float(prior.df), ranks, untested)
    return result


def _tested(
    found: Mapping[Any, _Place], moderated_variances: tuple[np.ndarray, np.ndarray], *, varied: bool
) -> dict[Any, list[Pair]]:
    """Return the tests of every place; of arrays, because 200 methods are 19,900 pairs in each."""
    variances, df = moderated_variances
    mean, num = (np.concatenate([getattr(own, name) for own in found.values()]) for name in ("mean", "num"))
    first, second = _indices(found)
    errors, differences = variances / num, mean[first] - mean[second]
    p = welch_p(differences, (errors[first], errors[second]), (df[first], df[second]))
    p = p if varied else np.full_like(p, np.nan)
    error, pair_df = np.sqrt(errors[first] + errors[second]), np.minimum(df[first], df[second])
    half = stats.t.ppf((1 + LEVEL) / 2, pair_df) * error
    columns = [differences, error, pair_df, differences - half, differences + half, p, holm(p)]
    values = zip(*(column.tolist() for column in (first, second, *columns)), strict=True)
    labels, nums = [(place, label) for place, own in found.items() for label in own.labels], num.astype(int).tolist()
    pairs: dict[Any, list[Pair]] = {place: [] for place in found}
    for i, j, difference, own_error, own_df, low, high, own_p, adjusted in values:
        pair = Pair(
            labels[i][1], labels[j][1], (nums[i], nums[j]), difference, own_error, own_df, (low, high), own_p, adjusted
        )
        pairs[labels[i][0]].append(pair)
    return pairs


def _indices(found: Mapping[Any, _Place]) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of every two methods of one place among the methods of all places, the better one first."""
    better, worse, start = [np.zeros(0, dtype=int)], [np.zeros(0, dtype=int)], 0
    for own in found.values():
        first, second = np.triu_indices(len(own.labels), k=1)
        better.append(first + start)
        worse.append(second + start)
        start += len(own.labels)
    return np.concatenate(better), np.concatenate(worse)


def _observed(scores: pd.DataFrame, means: Mapping[str, float]) -> _Place:
    """Return mean, variance and number of the observations of each method that has enough, in the order of `means`."""
    sets = scores.index.get_level_values(0).to_numpy()
    kept, rows, several = [], [], len(set(sets)) > 1
    for label in sorted((name for name, mean in means.items() if not np.isnan(mean)), key=lambda name: -means[name]):
        values = scores[label].to_numpy() if label in scores else np.zeros(0)
        there = ~np.isnan(values)
        own_sets = sets[: len(values)][there]
        if several and len(set(own_sets)) < 2:
            continue  # trainings on one set are one observation where other methods have several sets
        own = observations(values[there], own_sets)
        if len(own) >= FEWEST:
            kept.append(label)
            rows.append((own.mean(), own.var(ddof=1), len(own)))
    mean, variance, num = np.array(rows, dtype=float).reshape(-1, 3).T
    return _Place(kept, mean, np.where(variance > FLOAT_NOISE**2, variance, 0.0), num)


def _ranks(pairs: list[Pair], tested: list[str], means: Mapping[str, float]) -> dict[str, int | None]:
    position = {label: i for i, label in enumerate(tested)}
    worse = np.zeros((len(tested), len(tested)), dtype=bool)
    for pair in pairs:
        if pair.p_adjusted < ALPHA:
            better, other = (pair.first, pair.second) if pair.difference > 0 else (pair.second, pair.first)
            worse[position[better], position[other]] = True
    found = places([means[label] for label in tested], worse)
    return dict.fromkeys(means) | dict(zip(tested, found, strict=True))


def tests_text(contests: Mapping[Any, Contest]) -> str:
    """Say for a caption what was tested, and which difference the test can detect."""
    tested = tested_pairs(contests)
    if not tested:
        if any(contest.pairs for contest in contests.values()):
            return "Nothing varied between seeds: no ranks and no significance tests."
        return TOO_FEW if any(contest.untested for contest in contests.values()) else "No two methods to compare."
    most = max(max(pair.num) for pair in tested)
    more = next((more for more in MORE_SEEDS if more > most), 2 * most)
    return (
        f"Methods differ significantly at p < {ALPHA:g} (Welch's t test with moderated variances, Holm-corrected over "
        f"{times(len(tested), 'test')}). Minimum detectable difference at {POWER:.0%} power: {detectable(contests):.1f} "
        f"points; {detectable(contests, more):.1f} with {MORE_SEEDS.get(more, more)} seeds."
    )


def detectable(contests: Mapping[Any, Contest], num_observations: int | None = None) -> float:
    """Return the smallest true difference that the tests of a table detect 4 times in 5, percentage points.

    For two methods of usual (median) variance, at the level of Holm's first step; NaN without a test.

    Args:
        num_observations: as if there were so many; None: the usual number.
    """
    tested = tested_pairs(contests)
    if not tested:
        return float("nan")
    now = float(np.median([min(pair.num) for pair in tested]))
    num = num_observations or now
    error = float(np.median([pair.error for pair in tested])) * np.sqrt(now / num)
    prior = next(iter(contests.values())).prior_df
    pooled = max(pair.df for pair in tested) * (num - 1) / (now - 1)
    df = min(prior + num - 1, pooled)
    return smallest_difference(error, df, alpha=ALPHA / len(tested))


def tested_pairs(contests: Mapping[Any, Contest]) -> list[Pair]:
    """Return the pairs of methods that were tested."""
    return [pair for contest in contests.values() for pair in contest.pairs if not np.isnan(pair.p_adjusted)]


def coverage(distillation: int, training: int) -> str:
    """Say for a caption what standard deviations and intervals describe.

    Args:
        distillation, training: seeds that finished.
    """
    if distillation > 1:
        return (
            f"Intervals and tests use one value per distilled set, the mean over its training seeds "
            f"({times(distillation, 'set')} per method)."
        )
    if training > 1:
        return "One distillation seed: intervals and tests hold for these distilled sets only."
    return "One run per method: no standard deviation and no significance test."
