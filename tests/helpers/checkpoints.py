"""Checkpoints of a task for tests, kept in memory."""

from __future__ import annotations

from typing import Any

import torch


class Memory:
    """Keeps every state, and may begin with one."""

    def __init__(self, first: dict[str, Any] | None = None) -> None:
        self.first = first
        self.saved: list[dict[str, Any]] = []

    def load(self) -> dict[str, Any] | None:
        """Return what it began with."""
        return None if self.first is None else _copy(self.first)

    def save(self, state: dict[str, Any]) -> None:
        """Keep a copy."""
        self.saved.append(_copy(state))

    def file(self, name: str) -> None:
        """Keep no files."""


def _copy(state: dict[str, Any]) -> dict[str, Any]:
    plain = {k: list(v) if isinstance(v, list) else v for k, v in state.items()}
    return {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in plain.items()}
