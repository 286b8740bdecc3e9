"""Counts and kept items of the long-tailed CIFAR sets are those of the reference."""

import hashlib
import json
from pathlib import Path

import pytest

from harness.data.sources.long_tail import kept_items, long_tail_counts

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "longtail.json").read_text())
NUM_LARGEST = {"cifar10": 5000, "cifar100": 500}


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['dataset']}-{case['imbalance_factor']}")
def test_counts_are_those_of_the_reference(case):
    counts = long_tail_counts(NUM_LARGEST[case["dataset"]], case["classes"], case["imbalance_factor"])
    assert list(counts) == case["counts"]
    assert sum(counts) == case["total"]


def test_counts_are_truncated_after_the_reference_raises_the_rate_to_a_power():
    """golden/longtail.json, rule.count_of_class_c, in double precision: 500 * (1/32) ** (2/5) lies just below 125.

    Dividing by 32 ** (2/5) gives 125; none of the reference's own factors tells the two apart.
    """
    assert long_tail_counts(500, 6, 32) == (500, 250, 124, 62, 31, 15)


@pytest.mark.parametrize(("dataset", "num"), NUM_LARGEST.items())
def test_kept_items_are_those_of_the_reference(dataset, num):
    golden = GOLDEN["within_class_permutation"]
    order = kept_items(num, num)
    assert order[:50] == golden[f"{dataset}_n{num}_first_50"]
    digest = hashlib.sha256(",".join(map(str, order)).encode()).hexdigest()
    assert digest[:16] == golden[f"{dataset}_n{num}_sha256_16_of_comma_joined"]


def test_a_stronger_imbalance_keeps_a_part_of_what_a_weaker_one_keeps():
    assert kept_items(500, 5) == kept_items(500, 50)[:5]


def test_factor_1_keeps_everything():
    assert long_tail_counts(7, 3, 1) == (7, 7, 7)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        long_tail_counts(500, 10, 0.5)
    with pytest.raises(ValueError, match="cannot keep 8 of 7"):
        kept_items(7, 8)
