"""Long-tailed training sets: how many images a class keeps, and which.

In: counts. Out: counts and positions. The exponential profile of the long-tailed CIFAR sets; golden/longtail.json.
"""

from __future__ import annotations

_SEED = 42
"""The reference's seed within every class; see golden/longtail.json, rule.kept_items."""


def long_tail_counts(num_largest: int, num_classes: int, imbalance_factor: float) -> tuple[int, ...]:
    """Return the images that each class keeps, from the largest class (label 0) to the smallest.

    Args:
        num_largest: images of the largest class, which keeps them all.
        num_classes: classes of the data set.
        imbalance_factor: largest over smallest, before rounding down; 1 keeps everything.

    Raises:
        ValueError: the factor is under 1.

    Source: golden/longtail.json, rule.count_of_class_c: truncated, in double precision. So the smallest class of
    CIFAR-100 at factor 200 has 2 images (500 / 200 = 2.5) and the true ratio is 250.
    """
    if imbalance_factor < 1:
        raise ValueError(f"imbalance factor {imbalance_factor} must be at least 1")
    rate, last = 1 / imbalance_factor, max(1, num_classes - 1)
    return tuple(int(num_largest * rate ** (c / last)) for c in range(num_classes))


def kept_items(num_images: int, count: int) -> list[int]:
    """Return which of a class's images, numbered in the data set's order, are kept; in the order drawn.

    A stronger imbalance keeps the head of what a weaker one keeps.

    Raises:
        ValueError: more are to be kept than there are.

    Source: golden/longtail.json, rule.kept_items.
    """
    import numpy as np

    if count > num_images:
        raise ValueError(f"cannot keep {count} of {num_images} images")
    return np.random.RandomState(_SEED).permutation(num_images)[:count].tolist()
