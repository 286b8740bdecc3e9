"""Coverage scores against their definitions, written out image by image."""

import math

import numpy as np
import pytest
import torch

from harness.reporters.inspection.coverage import class_scores


def by_definition(real, made, k):
    """Naeem et al., ICML 2020, equations 3 and 4, with Euclidean distances of features of length 1."""
    real, made = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (real, made))
    radius = [sorted(np.linalg.norm(x - y) for j, y in enumerate(real) if j != i)[k - 1] for i, x in enumerate(real)]
    inside = [[np.linalg.norm(x - y) < r for y in made] for x, r in zip(real, radius, strict=True)]
    return sum(map(sum, inside)) / (k * len(made)), sum(map(any, inside)) / len(real)


def test_density_and_coverage_are_those_of_the_paper():
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(40, 8)) + 1, rng.normal(size=(10, 8)) + 1
    found = class_scores(torch.from_numpy(real), torch.from_numpy(made))
    assert (found.density, found.coverage) == pytest.approx(by_definition(real, made, 5))
    assert 0 < found.coverage < 1


def test_the_real_images_cover_and_represent_themselves():
    real = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    found = class_scores(real, real)
    assert found.representativeness == pytest.approx(1)
    assert found.coverage == 1


def test_equal_images_have_no_diversity_and_opposite_ones_the_most():
    real = torch.eye(8)
    assert class_scores(real, torch.eye(8)[[0, 0]]).diversity == pytest.approx(0)
    assert class_scores(real, torch.stack([torch.eye(8)[0], -torch.eye(8)[0]])).diversity == pytest.approx(2)


def test_what_cannot_be_said_is_not_a_number():
    """One image has no other; five real images have no fifth neighbour."""
    found = class_scores(torch.eye(8)[:5], torch.eye(8)[:1])
    assert math.isnan(found.diversity)
    assert math.isnan(found.density)
    assert math.isnan(found.coverage)
    assert found.representativeness == pytest.approx(0.2)


@pytest.mark.parametrize("made", [torch.zeros(0, 8), torch.eye(4)])
def test_features_that_do_not_fit_are_refused(made):
    with pytest.raises(ValueError, match=r"features of one width|no distilled images"):
        class_scores(torch.eye(8), made)
