"""Training of students under named protocols. Importing this package imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.training.protocols import protocols, register_protocol, resolve_protocol
from harness.training.recipe import Recipe, make_recipe

if TYPE_CHECKING:
    from harness.training.scores import TrainResult
    from harness.training.trainer import train_student

__all__ = [
    "Recipe",
    "TrainResult",
    "make_recipe",
    "protocols",
    "register_protocol",
    "resolve_protocol",
    "train_student",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch at its first use."""
    if name in ("TrainResult", "train_student"):
        from harness.training import trainer

        return getattr(trainer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
