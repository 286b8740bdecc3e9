"""The whitening of a suite's real training images, fitted once in a process."""

from __future__ import annotations

from collections.abc import Hashable

from harness.core.progress import ProgressCallback, no_progress
from harness.jobs.context import JobContext, images_of, real_images
from harness.training.whitening import Whitening, fit_zca

_fitted: dict[Hashable, Whitening] = {}
"""At most one: its matrix may have 0.6 GB."""


def real_whitening(context: JobContext, side: int, report: ProgressCallback = no_progress) -> Whitening:
    """Return the whitening of the training split as students of `side` pixels see it; kept for the students to come."""
    wanted = (images_of(context), side, context.device)
    if wanted not in _fitted:
        images, _ = real_images(context, "train", side, report=report)
        _fitted.clear()
        _fitted[wanted] = fit_zca(images)
    return _fitted[wanted]
