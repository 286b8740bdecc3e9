"""Fields of a record that tell classes apart, and the groups of classes of a long tail.

In: a training's scores by class, and how many real images each class is trained on. Out: percent by name; no torch.

Two divisions are in use in papers on long tails, so both are recorded, by the names that they have there:
- head, medium, tail: thirds of the classes by their number of training images (10 classes: 3, 4, 3; 100: 33, 34, 33).
  Every imbalance has all three.
- many-, medium-, few-shot: classes of more than 100, of 20 to 100, and of fewer than 20 training images (Liu et al.,
  Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019). A mild imbalance has no few-shot class.
The images counted are the real training images, whatever the distilled set holds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

MANY, FEW = 100, 20
"""More than the first: many-shot; fewer than the second: few-shot; training images a class."""


def thirds(counts: Sequence[int]) -> dict[str, list[int]]:
    """Return the labels of head, medium and tail; of equal classes the lower label comes first."""
    ranked = sorted(range(len(counts)), key=lambda label: -counts[label])
    third = len(counts) // 3
    return {
        "head": ranked[:third],
        "medium": ranked[third : len(ranked) - third],
        "tail": ranked[len(ranked) - third :],
    }


def shots(counts: Sequence[int]) -> dict[str, list[int]]:
    """Return the labels of many-, medium- and few-shot classes."""
    labels = range(len(counts))
    return {
        "many_shot": [c for c in labels if counts[c] > MANY],
        "medium_shot": [c for c in labels if FEW <= counts[c] <= MANY],
        "few_shot": [c for c in labels if counts[c] < FEW],
    }


GROUPS = ("head", "medium", "tail", "many_shot", "medium_shot", "few_shot")


def score_fields(
    result: dict[str, Any], metrics: Sequence[str], class_ids: Sequence[str], counts: Sequence[int]
) -> dict[str, Any]:
    """Return the fields of a record for the last and for the best evaluation.

    Args:
        result: of the train job.
        metrics: what the suite asks for; average accuracy and kappa are always recorded.
        class_ids: in label order.
        counts: real training images of every class; empty: not known.

    Returns:
        average_accuracy_* (percent, classes of equal weight), kappa_* (unitless), and where the suite asks for them
        head_accuracy_* and so on (percent, classes of equal weight; None for a group without classes) and
        class_accuracy_* (JSON: class id -> percent).
    """
    fields: dict[str, Any] = {}
    for which in ("last", "best"):
        scores = result[f"classes_{which}"]
        by_class: list[float | None] = scores["class_accuracy"]
        fields |= {f"average_accuracy_{which}": scores["average_accuracy"], f"kappa_{which}": scores["kappa"]}
        if "head_tail" in metrics and len(set(counts)) > 1:
            groups = {**thirds(counts), **shots(counts)}
            fields |= {f"{name}_accuracy_{which}": _mean([by_class[c] for c in groups[name]]) for name in GROUPS}
        if "class_accuracy" in metrics:
            fields[f"class_accuracy_{which}"] = json.dumps(dict(zip(class_ids, by_class, strict=True)))
    return fields


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
