"""One confusion matrix, checked against scikit-learn; overall and average accuracy are two things."""

import pytest
import torch
from sklearn import metrics

from harness.training.confusion import PredictionLog, class_scores, confusion_matrix

TRUE = torch.tensor([0] * 8 + [1] * 2 + [2] * 2)
CALLED = torch.tensor([0] * 7 + [1] + [1, 0] + [0, 0])


def test_scores_are_those_of_scikit_learn():
    scores = class_scores(confusion_matrix(CALLED, TRUE, 3))
    assert scores.class_accuracy == [87.5, 50.0, 0.0]
    assert scores.average_accuracy == pytest.approx(100 * metrics.balanced_accuracy_score(TRUE, CALLED))
    assert scores.kappa == pytest.approx(metrics.cohen_kappa_score(TRUE, CALLED))
    overall = 100 * (TRUE == CALLED).double().mean().item()
    assert overall == pytest.approx(66.67, abs=0.01)
    assert scores.average_accuracy == pytest.approx(45.83, abs=0.01), "classes weigh equally, not images"


def test_the_matrix_has_true_classes_down_and_called_ones_across():
    matrix = confusion_matrix(CALLED, TRUE, 3)
    assert matrix.tolist() == metrics.confusion_matrix(TRUE, CALLED).tolist()
    assert class_scores(matrix).confusion == [[0, 0, 7], [0, 1, 1], [1, 0, 1], [1, 1, 1], [2, 0, 2]]


def test_a_class_without_a_test_image_has_no_accuracy_and_no_weight():
    scores = class_scores(confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 1]), 3))
    assert scores.class_accuracy == [100.0, 0.0, None]
    assert scores.average_accuracy == 50.0


def test_kappa_is_1_without_mistakes_0_for_chance_and_unknown_for_one_class():
    perfect = class_scores(confusion_matrix(TRUE, TRUE, 3))
    assert (perfect.average_accuracy, perfect.kappa) == (100.0, 1.0)
    assert class_scores(confusion_matrix(torch.zeros_like(TRUE), TRUE, 3)).kappa == 0
    assert class_scores(confusion_matrix(torch.tensor([1]), torch.tensor([1]), 3)).kappa is None


def test_the_first_of_equal_evaluations_is_the_best():
    called = PredictionLog(torch.tensor([0, 1]), 2)
    for top1, answer in ((50.0, [0, 0]), (50.0, [1, 1]), (0.0, [1, 0])):
        called.keep(top1, torch.tensor(answer))
    last, best = called.scores()
    assert (last.class_accuracy, best.class_accuracy) == ([0.0, 0.0], [100.0, 0.0])
