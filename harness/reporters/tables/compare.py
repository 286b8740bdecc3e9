"""Which methods a table may call different: paired tests within a place, one correction over the table, shared ranks.

In: prepared records. Out: for every place of a table (an IPC, or an IPC and a test model) the tests between its methods
and the rank of each. Two methods are paired on distillation seed and training seed; what counts as one observation, and
why, stands in `stats.summary`, the test in `stats.comparison`. Holm's correction runs over all tests of a table, and the two
tables of a page that rank methods share the 5 %: where no method is better than another, the whole page claims a
difference with a chance of 5 % at most (tests/reporters/stats/test_false_differences.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from harness.core.text import times
from harness.reporters.stats.comparison import (
    ALPHA,
    FLOAT_NOISE,
    POWER,
    Residuals,
    Spreads,
    excess,
    holm,
    moderated_p,
    paired_p,
    residuals,
    smallest_difference,
    spreads,
)
from harness.reporters.stats.summary import Place, observations, places, t_interval

TABLE_ALPHA = ALPHA / 2
"""Level of one table: leaderboard and paper table stand on one page and share its chance of a false difference."""


MORE_OBSERVATIONS = 5, 10
"""Numbers that a caption proposes: the next above what there is, else twice as many."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two methods of one place on their common seeds.

    Attributes:
        first, second: labels, the higher mean first.
        num_pairs: pairs of seeds that both finished.
        differences: first minus second of each observation, percentage points. An observation is a distilled set where
            there are two or more, else a pair of seeds.
        p: of the paired t test, with this pair's spread alone; NaN where there is none.
        p_holm: Holm's, over all of these tests in the table.
        p_adjusted: of the moderated test, by Holm too; what the verdict goes by.
    """

    first: str
    second: str
    num_pairs: int
    differences: np.ndarray
    p: float = float("nan")
    p_holm: float = float("nan")
    p_adjusted: float = float("nan")

    @property
    def difference(self) -> float:
        """Return the mean difference over the observations; NaN for none."""
        return float(self.differences.mean()) if len(self.differences) else float("nan")

    @property
    def std(self) -> float:
        """Return the sample standard deviation of the differences; NaN below two."""
        return float(self.differences.std(ddof=1)) if len(self.differences) > 1 else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the mean difference, for this pair alone."""
        return t_interval(self.differences)

    @property
    def verdict(self) -> str:
        """Return "different", "not told apart" or "not tested"."""
        if np.isnan(self.p_adjusted):
            return "not tested"
        return "different" if self.p_adjusted < TABLE_ALPHA else "not told apart"


@dataclass(frozen=True, eq=False)
class Contest:
    """The methods of one place.

    Attributes:
        pairs: every two methods that have a number.
        num_others: methods besides two that lend a pair their spread (`stats.comparison.Residuals`).
        ranks: label -> place; None for a method without a number and for a lone one.
    """

    pairs: tuple[Pair, ...] = ()
    num_others: float = 0.0
    ranks: Mapping[str, Place | None] = field(default_factory=dict)

    def group(self, number: int) -> list[str]:
        """Return the methods that share the best place (0), the next (1), ...; empty where there is none."""
        found = sorted({place.place for place in self.ranks.values() if place})
        if number >= len(found):
            return []
        return [label for label, place in self.ranks.items() if place and place.place == found[number]]

    @property
    def untested(self) -> list[str]:
        """Return the methods whose rank is that of their mean alone."""
        return [label for label, place in self.ranks.items() if place and not place.tested]


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


def compare(scores: Mapping[Any, pd.DataFrame], means: Mapping[Any, Mapping[str, float]]) -> dict[Any, Contest]:
    """Test every two methods of every place, correct over all places together, and rank.

    Args:
        scores: place -> accuracies as `seed_scores` returns them.
        means: place -> label -> the mean that the table shows, NaN for none; it sets the order.
    """
    around = {place: residuals(_observed(own)) for place, own in scores.items()}
    bare = [(place, pair) for place, own in scores.items() for pair in _pairs(own, means[place])]
    found = spreads(
        _padded([pair.differences for _, pair in bare]),
        Residuals(
            *(np.array([getattr(around[place], name) for place, _ in bare]) for name in ("squares", "df", "num_others"))
        ),
    )
    own_p = paired_p(_padded([pair.differences for _, pair in bare]))
    moderated = holm(moderated_p(found, _excess([pair for _, pair in bare], found)))
    pairs: dict[Any, list[Pair]] = {place: [] for place in scores}
    for (place, pair), p, p_holm, p_adjusted in zip(bare, own_p, holm(own_p), moderated, strict=True):
        pairs[place].append(replace(pair, p=float(p), p_holm=float(p_holm), p_adjusted=float(p_adjusted)))
    return {
        place: Contest(tuple(own), float(around[place].num_others), _ranks(own, means[place]))
        for place, own in pairs.items()
    }


def _excess(pairs: list[Pair], found: Spreads) -> np.ndarray:
    """Return by how much each pair varies more than the others do, at the other places where the same two meet."""
    same: dict[frozenset[str], list[int]] = {}
    for i, pair in enumerate(pairs):
        same.setdefault(frozenset((pair.first, pair.second)), []).append(i)
    squares, df = found.relative
    result = np.ones(len(pairs))
    for rows in same.values():
        result[rows] = excess(squares[rows], df[rows])
    return result


def _pairs(scores: pd.DataFrame, means: Mapping[str, float]) -> list[Pair]:
    """Return every two methods with a number and their differences, not yet tested."""
    there = sorted((label for label, mean in means.items() if not np.isnan(mean)), key=lambda label: -means[label])
    sets = scores.index.get_level_values(0).to_numpy()
    missing = np.full(len(scores), np.nan)
    values = {label: scores[label].to_numpy() if label in scores else missing for label in there}
    one_set, found = len(set(sets)) < 2, []
    for first, second in itertools.combinations(there, 2):  # a hundred methods are 4,950 pairs in each place
        differences = values[first] - values[second]
        both = ~np.isnan(differences)
        own = differences[both]
        found.append(Pair(first, second, len(own), own if one_set else observations(own, sets[both])))
    return found


def _observed(scores: pd.DataFrame) -> np.ndarray:
    """Return the observations of every method: means of distilled sets where there are several, else all values."""
    sets = scores.index.get_level_values(0)
    return (scores.groupby(sets).mean() if sets.nunique() > 1 else scores).to_numpy(dtype=float)


def _padded(rows: list[np.ndarray]) -> np.ndarray:
    """Return rows of different lengths as one array, NaN behind each."""
    padded = np.full((len(rows), max((len(row) for row in rows), default=0)), np.nan)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded


def _ranks(pairs: list[Pair], means: Mapping[str, float]) -> dict[str, Place | None]:
    labels = {label: i for i, label in enumerate(means)}
    verdicts = np.full((len(labels), len(labels)), np.nan)
    for pair in pairs:
        if pair.verdict != "not tested":
            better = float(np.sign(pair.difference)) if pair.verdict == "different" else 0.0
            i, j = labels[pair.first], labels[pair.second]
            verdicts[i, j], verdicts[j, i] = better, -better
    return dict(zip(labels, places(list(means.values()), verdicts), strict=True))


def tests_text(contests: Mapping[Any, Contest]) -> str:
    """Say for a caption what was tested, and what the number of seeds can show."""
    tested = tested_pairs(contests)
    if not tested:
        return "Nothing could be tested: no two methods have two common pairs of seeds with a spread."
    nums = sorted({len(pair.differences) for pair in tested})
    over = times(nums[0], "observation") if len(nums) == 1 else f"{nums[0]} to {nums[-1]} observations"
    more = next((more for more in MORE_OBSERVATIONS if more > nums[-1]), 2 * nums[-1])
    size = detectable(contests)
    power = (
        f"A true difference of {size:.1f} points is found in about {POWER:.0%} of cases; with {more} observations one of "
        f"{detectable(contests, more):.1f}."
        if size > FLOAT_NOISE
        else "No difference between methods varied at all, so how large a one would be found is not known."
    )
    return (
        f"Different are two methods where a paired t test over common seeds ({over}), whose spread is moderated by that of "
        f"the other methods, falls below {TABLE_ALPHA:.1%} after Holm's correction over the {times(len(tested), 'test')} of "
        f"this table. {power}"
    )


def detectable(contests: Mapping[Any, Contest], num_observations: int | None = None) -> float:
    """Return the smallest true difference that the tests of a table find 4 times in 5, percentage points.

    With the pooled spread of all tested pairs and the usual (median) number of other methods, at the level that Holm's
    first step asks for; NaN without a test.

    Args:
        num_observations: as if there were so many; None: the usual number.
    """
    found = [
        (contest, pair) for contest in contests.values() for pair in contest.pairs if not np.isnan(pair.p_adjusted)
    ]
    if not found:
        return float("nan")
    num = num_observations or int(np.median([len(pair.differences) for _, pair in found]))
    others = float(np.median([contest.num_others for contest, _ in found]))
    num_places = sum(any(not np.isnan(pair.p_adjusted) for pair in contest.pairs) for contest in contests.values())
    pooled = float(np.sqrt(np.mean([pair.std**2 for _, pair in found])))
    return smallest_difference(pooled, num, num_others=others, num_places=num_places, alpha=TABLE_ALPHA / len(found))


def tested_pairs(contests: Mapping[Any, Contest]) -> list[Pair]:
    """Return the pairs of methods that could be tested at all."""
    return [pair for contest in contests.values() for pair in contest.pairs if not np.isnan(pair.p_adjusted)]


def coverage(distillation: int, training: int) -> str:
    """Say for a caption what spread and intervals speak about.

    Args:
        distillation, training: seeds that finished.
    """
    if distillation > 1:
        return (
            "Intervals and tests take each distilled set (the mean over its training seeds) as one observation, of "
            f"{times(distillation, 'distillation seed')}."
        )
    if training > 1:
        return (
            "One distillation seed: spread, intervals and tests cover the trainings on these distilled sets, not what "
            "another set would give."
        )
    return "One run a method: no spread, no interval, no test."
