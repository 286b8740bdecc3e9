"""What a logger is given: each training with its options, its curve and its final numbers; and the loggers by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.core.errors import UserError, did_you_mean
from harness.core.registry import Registry


@dataclass(frozen=True)
class Training:
    """One student that was trained.

    Attributes:
        name: of the training within its run, such as minimax/ipc10/convnet3/seed0-1.
        params: what was chosen: suite, protocol, method, their options, IPC, student, seeds.
        curve: (epoch, values by name), as the training logged them.
        final: numbers of its record: accuracies in percent, times in seconds, sizes in bytes.
    """

    name: str
    params: dict[str, str | int | float | bool]
    curve: tuple[tuple[int, dict[str, float]], ...]
    final: dict[str, float]


class Logger(Protocol):
    """Writes trainings somewhere. Made with the folder of a run and its name; nothing may ask the user a question."""

    def __init__(self, folder: Path, run: str) -> None: ...

    def training(self, training: Training) -> None:
        """Write one training."""

    def close(self) -> str:
        """Finish writing, and return where it is, for people."""


loggers: Registry[type[Logger]] = Registry(
    "logger",
    {
        "tensorboard": "harness.reporters.loggers.tensorboard:TensorBoardLogger",
        "mlflow": "harness.reporters.loggers.mlflow:MlflowLogger",
        "wandb": "harness.reporters.loggers.wandb:WandbLogger",
    },
)


def check_loggers(names: Sequence[str]) -> None:
    """Refuse, before a run, a logger that is unknown or whose package is not installed. Each built-in one is named after it.

    Raises:
        UserError: says what to install.
    """
    for name in names:
        if name not in loggers:
            known = loggers.names()
            raise UserError(f"--log {name!r}: no such logger.{did_you_mean(name, known)} Known: {', '.join(known)}.")
        if loggers.is_lazy(name) and importlib.util.find_spec(name) is None:
            raise UserError(
                f"--log {name}: needs the package {name}, which is not installed: pip install 'distillation-harness[{name}]'. "
                "Nothing was run."
            )
