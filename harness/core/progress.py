"""What a long piece of work tells its progress to: one type for downloads, decoding, training and sampling."""

from __future__ import annotations

from typing import Protocol

BYTE = "byte"
"""The unit of amounts that are shown as sizes: 75 MB."""


class ProgressCallback(Protocol):
    """Takes the name of the stage, how much is done, how much there is (0: not known), and the unit, as in "step"."""

    def __call__(self, stage: str, done: int, total: int, unit: str, /) -> None: ...


def no_progress(stage: str, done: int, total: int, unit: str, /) -> None:
    """Tell nobody."""
