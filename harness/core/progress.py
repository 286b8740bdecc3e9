"""What a long piece of work tells its progress and its losses to: one type of each for all stages."""

from __future__ import annotations

from typing import Protocol

BYTE = "byte"
"""The unit of amounts that are shown as sizes: 75 MB."""


class ProgressCallback(Protocol):
    """Takes the name of the stage, how much is done, how much there is (0: not known), and the unit, as in "step"."""

    def __call__(self, stage: str, done: int, total: int, unit: str, /) -> None: ...


def no_progress(stage: str, done: int, total: int, unit: str, /) -> None:
    """Tell nobody."""


class CurveCallback(Protocol):
    """Takes a step and the values of training curves at it, as `Task.log`."""

    def __call__(self, step: int, **values: float) -> None: ...


def no_curve(step: int, **values: float) -> None:
    """Tell nobody."""
