"""Tests between methods: what counts as an observation, who is ranked, and what the caption says."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from harness.reporters.tables.compare import TOO_FEW, compare, detectable, seed_scores
from harness.reporters.tables.compare import tests_text as caption_part
from harness.reporters.tables.prepare import prepare

METHODS = list("abcdef")


def scores(values_TM, sets=None):
    """Accuracies of training seeds (rows) and methods, of one distilled set each unless told otherwise."""
    seeds = [np.zeros(len(values_TM), dtype=int) if sets is None else sets, np.arange(len(values_TM))]
    return pd.DataFrame(values_TM, index=pd.MultiIndex.from_arrays(seeds), columns=METHODS[: values_TM.shape[1]])


def contest(*tables):
    found = compare(dict(enumerate(tables)), {i: table.mean().to_dict() for i, table in enumerate(tables)})
    return list(found.values())


def test_two_methods_are_compared_by_their_own_variances():
    rng = np.random.default_rng(0)
    table = scores(rng.normal([40, 42], [1, 2], (5, 2)))
    (pair,) = contest(table)[0].pairs
    welch = scipy_stats.ttest_ind(table["b"], table["a"], equal_var=False)
    assert (pair.first, pair.second, pair.num, pair.df) == ("b", "a", (5, 5), 4)
    assert pair.difference / pair.error == pytest.approx(welch.statistic)
    assert pair.p == pair.p_adjusted == pytest.approx(2 * scipy_stats.t.sf(abs(welch.statistic), 4))
    half = scipy_stats.t.ppf(0.975, 4) * pair.error
    assert pair.interval == pytest.approx((pair.difference - half, pair.difference + half))


def test_all_places_of_a_table_share_prior_and_correction():
    rng = np.random.default_rng(0)
    tables = [scores(rng.normal([40, 42, 43], 1, (5, 3))) for _ in range(2)]
    together, alone = [pair for own in contest(*tables) for pair in own.pairs], contest(tables[0])[0].pairs
    assert min(pair.p_adjusted / pair.p for pair in together if pair.p_adjusted < 1) >= 1
    smallest = min(together, key=lambda pair: pair.p)
    assert smallest.p_adjusted == pytest.approx(6 * smallest.p)
    assert together[0].df > alone[0].df


def test_methods_with_fewer_than_three_seeds_are_neither_tested_nor_ranked():
    values = np.random.default_rng(0).normal([40, 45, 60], 1, (4, 3))
    values[:2, 2] = np.nan
    (found,) = contest(scores(values))
    assert [(pair.first, pair.second) for pair in found.pairs] == [("b", "a")]
    assert found.ranks == {"a": 2, "b": 1, "c": None}
    assert found.untested == ("c",)
    few = contest(scores(values[:2]))
    assert (few[0].pairs, few[0].ranks) == ((), {"a": None, "b": None, "c": None})
    assert caption_part(dict(enumerate(few))) == TOO_FEW


def test_methods_that_share_no_seed_are_compared():
    values = np.random.default_rng(0).normal([40, 60], 1, (6, 2))
    values[:3, 0] = values[3:, 1] = np.nan
    (found,) = contest(scores(values))
    assert found.ranks == {"a": 2, "b": 1}


def test_where_the_test_contradicts_the_means_methods_share_a_rank():
    """The mean of a table may be over more runs than its observations, as where a student failed."""
    values = np.random.default_rng(0).normal([40, 60], 1, (4, 2))
    (found,) = compare({0: scores(values)}, {0: {"a": 61.0, "b": 60.0}}).values()
    assert found.ranks == {"a": 1, "b": 1}


def test_students_trained_on_one_set_are_one_observation_of_it():
    values = np.random.default_rng(0).normal([40, 45], 1, (6, 2))
    (pair,) = contest(scores(values, np.repeat([0, 1, 2], 2)))[0].pairs
    means = values.reshape(3, 2, 2).mean(axis=1)
    assert pair.num == (3, 3)
    assert pair.error == pytest.approx(np.sqrt(means.var(axis=0, ddof=1).sum() / 3))


def test_trainings_on_one_set_do_not_compete_with_several_sets():
    values = np.random.default_rng(0).normal([40, 45, 50], 1, (9, 3))
    values[3:, 2] = np.nan
    (found,) = contest(scores(values, np.repeat([0, 1, 2], 3)))
    assert found.untested == ("c",)


def test_equal_methods_share_a_rank_and_where_nothing_varies_there_is_none():
    (found,) = contest(scores(np.array([[36.0, 36.0, 20.0], [37.0, 37.0, 20.5], [38.0, 38.0, 19.5]])))
    assert found.ranks["a"] == found.ranks["b"] == 1
    assert found.pairs[0].p == 1
    (still,) = contest(scores(np.full((3, 3), 50.0)))
    assert set(still.ranks.values()) == {None}


def test_a_table_of_200_methods_is_tested_in_seconds():
    rng = np.random.default_rng(0)
    names = [f"m{i}" for i in range(200)]
    index = pd.MultiIndex.from_product([[0], range(3)])
    tables = {i: pd.DataFrame(rng.normal(50, 1, (3, 200)), index=index, columns=names) for i in range(2)}
    start = time.process_time()
    found = compare(tables, {i: table.mean().to_dict() for i, table in tables.items()})
    assert sum(len(own.pairs) for own in found.values()) == 2 * 19_900
    assert time.process_time() - start < 5


def test_a_pair_of_seeds_counts_with_the_mean_over_students_where_all_finished(record, frame):
    rows = [
        record("a", 30.0 + 10 * (student == "t") + seed, student=student, training_seed=seed)
        for student in ("s", "t") for seed in (0, 1) if (student, seed) != ("t", 1)
    ]  # fmt: skip
    found = seed_scores(prepare(frame(*rows)), "top1_best").to_numpy()
    assert found[0].tolist() == [35.0]
    assert np.isnan(found[1]).tolist() == [True]


def test_nothing_done_is_nothing_to_compare(record, frame):
    found = seed_scores(prepare(frame(record(status="failed"))), "top1_best")
    assert compare({}, {}) == {}
    (own,) = compare({0: found}, {0: {"a": float("nan")}}).values()
    assert (own.pairs, own.ranks, own.untested) == ((), {"a": None}, ())


def test_the_caption_names_the_test_and_what_it_detects():
    def text(values_TM):
        return caption_part(dict(enumerate(contest(scores(values_TM)))))

    values = np.random.default_rng(0).normal(50, 1, (3, 3))
    found = contest(scores(values))
    now, more = detectable(dict(enumerate(found))), detectable(dict(enumerate(found)), 5)
    assert now > more
    assert text(values).endswith(
        "Holm-corrected over 3 tests). Minimum detectable difference at 80% power: "
        f"{now:.1f} points; {more:.1f} with five seeds."
    )
    assert text(values[:, :1]) == "No two methods to compare."
    assert "with ten seeds" in text(np.random.default_rng(0).normal(50, 1, (5, 3)))
    assert text(np.full((3, 3), 50.0)) == "Nothing varied between seeds: no ranks and no significance tests."


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_the_difference_of_the_caption_is_detected_about_4_times_in_5(num_seeds):
    rng = np.random.default_rng(0)
    null = [contest(scores(rng.normal(50, 1, (num_seeds, 6)))) for _ in range(40)]
    delta = np.median([detectable(dict(enumerate(own))) for own in null])
    hits = 0
    for _ in range(60):
        (found,) = contest(scores(rng.normal([50 + delta, 50, 50, 50, 50, 50], 1, (num_seeds, 6))))
        hits += sum(pair.verdict == "significant" for pair in found.pairs if "a" in (pair.first, pair.second))
    assert 0.65 <= hits / 300 <= 0.95
