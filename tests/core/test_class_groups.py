"""Which classes are head, medium and tail, and what a record says about them."""

import json

import pytest

from harness.core.class_groups import score_fields, shots, thirds
from harness.data.sources.long_tail import long_tail_counts

CIFAR10 = long_tail_counts(5000, 10, 100)
CIFAR100 = long_tail_counts(500, 100, 100)
RESULT = {
    f"classes_{which}": {"average_accuracy": 40.0, "kappa": 0.25, "class_accuracy": [float(v) for v in values]}
    for which, values in (("last", range(90, -10, -10)), ("best", range(10)))
}
IDS = [f"c{n}" for n in range(10)]


def test_thirds_are_by_size_whatever_the_order_of_labels():
    assert thirds(CIFAR10) == {"head": [0, 1, 2], "medium": [3, 4, 5, 6], "tail": [7, 8, 9]}
    assert thirds(CIFAR10[::-1])["head"] == [9, 8, 7]
    assert [len(labels) for labels in thirds(CIFAR100).values()] == [33, 34, 33]


def test_shots_are_by_number_of_training_images():
    assert [len(labels) for labels in shots(CIFAR100).values()] == [35, 35, 30]
    assert shots([101, 100, 20, 19]) == {"many_shot": [0], "medium_shot": [1, 2], "few_shot": [3]}
    assert shots(CIFAR10)["few_shot"] == [], "at factor 100 the smallest class has 50"


def test_a_record_has_average_and_kappa_always_and_the_rest_where_the_suite_asks():
    assert score_fields(RESULT, (), IDS, ()) == {
        "average_accuracy_last": 40.0, "kappa_last": 0.25, "average_accuracy_best": 40.0, "kappa_best": 0.25,
    }  # fmt: skip
    fields = score_fields(RESULT, ("head_tail", "class_accuracy"), IDS, CIFAR10)
    assert (fields["head_accuracy_last"], fields["medium_accuracy_last"], fields["tail_accuracy_last"]) == (80, 45, 10)
    assert fields["tail_accuracy_best"] == 8
    assert (fields["many_shot_accuracy_last"], fields["medium_shot_accuracy_last"]) == (pytest.approx(55), 5)
    assert fields["few_shot_accuracy_last"] is None
    assert json.loads(fields["class_accuracy_last"])["c9"] == 0


def test_a_balanced_training_split_has_no_head_and_no_tail():
    assert "head_accuracy_last" not in score_fields(RESULT, ("head_tail",), IDS, [7] * 10)
