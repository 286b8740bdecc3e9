"""Scores that tell a good distilled set from a good evaluation recipe: label-robust and augmentation-robust.

In: accuracies. Out: scores in [0, 1]. And which students they need beside those of the run. No torch, no pandas.
Source: DD-Ranking (Li et al., 2025); golden/dd_ranking.json.

Paper/Code: its code feeds percent into the exponential, so that scores leave [0, 1]. Here: fractions, as its
documentation defines them. Code: the random subset's learning rate is searched on the test split. Here: every student
of a run has the protocol's, because nobody may choose on the test split.
"""

from __future__ import annotations

import math


def normalised(value: float) -> float:
    """Map [-1, 1] to [0, 1], growing exponentially; 0 (as good as the reference) gives 0.269."""
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def label_robust(full_hard: float, syn_hard: float, syn_any: float, random_any: float, weight: float = 0.5) -> float:
    """Return the label-robust score: near the full data with hard labels, and better than random with the same ones.

    Args:
        full_hard: accuracy of the full data with hard labels, fraction.
        syn_hard: of the distilled set with hard labels.
        syn_any: of the distilled set with the protocol's labels.
        random_any: of a random real subset of its size, the same way.
        weight: of the improvement over random against the loss to the full data.

    Raises:
        ValueError: an accuracy is no fraction.
    """
    _check(full_hard, syn_hard, syn_any, random_any)
    return normalised(weight * (syn_any - random_any) - (1 - weight) * (full_hard - syn_hard))


def augmentation_robust(
    syn_aug: float, random_aug: float, syn_plain: float, random_plain: float, weight: float = 0.5
) -> float:
    """Return the augmentation-robust score: better than random with the protocol's augmentation and without any.

    Args:
        syn_aug: accuracy of the distilled set under the protocol, fraction.
        random_aug: of a random real subset of its size, the same way.
        syn_plain: of the distilled set without augmentation.
        random_plain: of the random subset without augmentation.
        weight: of the former against the latter.

    Raises:
        ValueError: an accuracy is no fraction.
    """
    _check(syn_aug, random_aug, syn_plain, random_plain)
    return normalised(weight * (syn_aug - random_aug) + (1 - weight) * (syn_plain - random_plain))


def _check(*accuracies: float) -> None:
    for accuracy in accuracies:
        if not 0 <= accuracy <= 1:
            raise ValueError(f"accuracy {accuracy} is no fraction; divide percent by 100")
