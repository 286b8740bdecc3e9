"""The two accuracies of a training, by the names that people use and by those of the records. It imports no pandas."""

from __future__ import annotations

from typing import Literal

from harness.core.errors import UserError

Metric = Literal["top1_best", "top1_last"]
RankBy = Literal["last", "best"]
"""`last`: accuracy of the final model. `best`: highest of the evaluations during training."""


def metric_of(rank_by: str) -> Metric:
    """Return the column of an accuracy that is called `last` or `best`.

    Raises:
        UserError: it is called otherwise.
    """
    if rank_by not in ("last", "best"):
        raise UserError(
            f"rank_by {rank_by!r} is not known; use 'last', the final model, or 'best', the best evaluation."
        )
    return "top1_last" if rank_by == "last" else "top1_best"


_VALIDATION = "; validation: "
"""Part of a record's source where the run had --validation (`harness.data.sources.validation`)."""


def said(text: str, source: str) -> str:
    """Return a text about test accuracy as it is true of a source: with a validation part, the text says that."""
    if _VALIDATION not in source:
        return text
    text = text.replace("test accuracy", "validation accuracy").replace("the real test split", "the test split")
    return text.replace("the test split", "the validation part")
