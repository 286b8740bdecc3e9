"""A pool is dealt so that every epoch sees a plain set's worth of images, and every image is seen once in k epochs."""

import torch

from harness.core import seeds
from harness.training.pool import Pool

LABELS = torch.arange(3).repeat(20)  # 20 images of each of 3 classes


def hands(pool, epochs):
    return [pool.rows(epoch) for epoch in range(1, epochs + 1)]


def test_every_epoch_sees_one_kth_of_every_class_and_k_epochs_see_all():
    dealt = hands(Pool(LABELS, 4, seeds.generator("x")), 8)

    assert all(torch.bincount(LABELS[rows]).tolist() == [5, 5, 5] for rows in dealt)
    for turn in (dealt[:4], dealt[4:]):
        assert torch.cat(turn).sort().values.tolist() == list(range(60))
    assert not torch.equal(dealt[0], dealt[4]), "dealt anew"


def test_equal_seeds_deal_equally():
    one, two, other = (hands(Pool(LABELS, 2, seeds.generator(seed)), 3) for seed in (0, 0, 1))

    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], other[0])
