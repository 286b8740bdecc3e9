"""CutMix: boxes against golden/protocol.json, what is pasted, and how often."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.training.cutmix import Mix, cutmix_box, draw_mix, paste

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "protocol.json").read_text(encoding="utf-8"))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("case", GOLDEN["numeric_examples"]["cutmix_box"])
def test_boxes_and_kept_shares_are_those_of_the_reference(case):
    rows, cols, kept = cutmix_box(case["height"], case["width"], case["lam"], case["centre_row"], case["centre_col"])
    assert (list(rows), list(cols)) == (case["rows"], case["cols"])
    assert kept == pytest.approx(case["kept_ratio"], abs=1e-11)


def test_the_box_comes_from_the_partner_and_the_rest_stays():
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 4, 4).clone()
    paste(images, Mix(rows=(1, 3), cols=(0, 2), kept=0.75, partner=torch.tensor([2, 0, 1])))
    assert images[:, 0, 1, 0].tolist() == [2, 0, 1]
    assert images[:, 0, 0, 0].tolist() == images[:, 0, 1, 3].tolist() == [0, 1, 2]


def test_the_share_kept_is_the_share_of_pixels_that_stayed():
    images = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 3, 16, 16)
    for seed in range(20):
        mix = draw_mix(64, 16, probability=1, beta=1, rng=rng(seed))
        stayed = (paste(images.clone(), mix) == images)[mix.partner != torch.arange(64)]
        assert stayed.float().mean().item() == pytest.approx(mix.kept)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_batches_are_mixed_with_the_given_probability(probability):
    stream = rng()
    mixed = [draw_mix(4, 8, probability=probability, beta=1, rng=stream) is not None for _ in range(2000)]
    assert np.mean(mixed) == pytest.approx(probability, abs=4 * math.sqrt(0.25 / 2000))
    assert probability not in (0, 1) or np.mean(mixed) == probability


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_the_share_before_clipping_follows_the_beta_distribution(beta, monkeypatch):
    """Mean 1/2 and variance 1 / (4 (2 beta + 1)); bounds of four standard errors."""
    seen = []
    monkeypatch.setattr("harness.training.cutmix.cutmix_box", lambda h, w, lam, r, c: (seen.append(lam), (0, 0), 1.0))
    stream = rng()
    for _ in range(2000):
        draw_mix(2, 8, probability=1, beta=beta, rng=stream)
    variance = 1 / (4 * (2 * beta + 1))
    assert np.mean(seen) == pytest.approx(0.5, abs=4 * math.sqrt(variance / 2000))
    assert np.var(seen) == pytest.approx(variance, rel=0.15)


def test_equal_generators_draw_equal_mixes():
    first, second = (draw_mix(8, 16, probability=1, beta=1, rng=rng(3)) for _ in range(2))
    assert (first.rows, first.cols, first.kept) == (second.rows, second.cols, second.kept)
    assert torch.equal(first.partner, second.partner)
