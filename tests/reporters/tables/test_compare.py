"""Tests between methods: on common seeds only, corrected over the whole table, and silent where nothing differs."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from harness.reporters.stats.comparison import holm
from harness.reporters.tables.compare import compare, seed_scores
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


def claims(contests):
    """Whether a table with these places calls any two methods different."""
    return any(len({place.place for place in own.ranks.values()}) > 1 for own in contests)


def test_p_values_are_scipys_with_holm_over_all_places():
    rng = np.random.default_rng(0)
    tables = [scores(rng.normal([40, 42, 43], 1, (5, 3))) for _ in range(2)]
    pairs = [pair for own in contest(*tables) for pair in own.pairs]
    expected = [scipy_stats.ttest_rel(t[p.first], t[p.second]) for t in tables for p in contest(t)[0].pairs]

    assert [pair.p for pair in pairs] == pytest.approx([e.pvalue for e in expected])
    assert [pair.p_holm for pair in pairs] == pytest.approx(holm([e.pvalue for e in expected]))
    for pair, test in zip(pairs, expected, strict=True):
        assert pair.interval == pytest.approx(tuple(test.confidence_interval(0.95)))


@pytest.mark.parametrize(("num_sets", "num_seeds"), [(1, 3), (1, 5), (4, 2)])
def test_where_no_method_is_better_a_table_claims_a_difference_in_at_most_5_percent(num_sets, num_seeds):
    """Tables of six methods; each distilled set has luck of its own, each seed too. 1,000: test_false_differences.py."""
    rng = np.random.default_rng(num_seeds)
    sets = np.repeat(np.arange(num_sets), num_seeds)
    false = 0
    for _ in range(100):
        luck = rng.normal(0, 1 if num_sets > 1 else 0, (num_sets, 6))[sets]
        values = 40 + rng.normal(0, 1, (len(sets), 1)) + luck + rng.normal(0, 0.6, (len(sets), 6))
        false += claims(contest(scores(values, sets)))
    assert false / 100 <= 0.05


def test_accuracies_that_are_multiples_of_one_test_image_claim_nothing_more():
    """Equal differences over three seeds are common then; each would make an infinite t."""
    rng = np.random.default_rng(1)
    step = 100 / 540
    false = sum(claims(contest(scores(np.round(rng.normal(95, 0.6, (3, 6)) / step) * step))) for _ in range(100))
    assert false / 100 <= 0.05


def test_a_pair_with_equal_differences_is_not_tested_and_equal_methods_are_equal():
    (found,) = contest(scores(np.array([[36.0, 34.0, 34.0], [37.0, 35.0, 35.0]])))
    assert [(p.first, p.second, p.verdict) for p in found.pairs] == [
        ("a", "b", "not tested"),
        ("a", "c", "not tested"),
        ("b", "c", "not told apart"),
    ]


def test_only_seeds_that_both_methods_finished_are_paired():
    values = np.random.default_rng(0).normal([40, 45], 1, (6, 2))
    values[0, 0] = values[1, 1] = np.nan
    (pair,) = contest(scores(values))[0].pairs
    assert pair.num_pairs == 4
    assert pair.p == pytest.approx(scipy_stats.ttest_rel(values[2:, 1], values[2:, 0]).pvalue)


def test_students_trained_on_one_set_are_one_observation_of_it():
    values = np.random.default_rng(0).normal([40, 45], 1, (6, 2))
    sets = np.repeat([0, 1, 2], 2)
    (pair,) = contest(scores(values, sets))[0].pairs
    means = values.reshape(3, 2, 2).mean(axis=1)
    assert (pair.num_pairs, len(pair.differences)) == (6, 3)
    assert pair.p == pytest.approx(scipy_stats.ttest_rel(means[:, 1], means[:, 0]).pvalue)


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
    (own,) = compare({0: found}, {0: {"a": float("nan")}}).values()
    assert (own.pairs, own.ranks) == ((), {"a": None})


def test_where_nothing_varies_the_caption_names_no_difference_that_would_be_found():
    def text(values_TM):
        table = scores(values_TM)
        return caption_part(compare({0: table}, {0: table.mean().to_dict()}))

    assert "No difference between methods varied at all" in text(np.full((3, 3), 50.0))
    assert "points is found in about 80%" in text(np.random.default_rng(0).normal(50, 1, (3, 3)))
