"""Weights & Biases: a run for each training, grouped by the run of the harness."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from harness.reporters.loggers.base import Training


class WandbLogger:
    """Writes online where WANDB_API_KEY or WANDB_MODE says so, else offline into the run's folder (`wandb sync` sends it)."""

    def __init__(self, folder: Path, run: str) -> None:
        self.folder, self.run = folder, run
        self.mode: Literal["offline"] | None = "offline"  # it would ask for a key, and a run asks nothing
        if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE"):
            self.mode = None
        self.project = os.environ.get("WANDB_PROJECT", "distillation-harness")

    def training(self, training: Training) -> None:
        """Write one run."""
        import wandb

        run = wandb.init(
            project=self.project, group=self.run, name=training.name, config=dict(training.params), dir=str(self.folder),
            mode=self.mode, reinit="finish_previous", settings=wandb.Settings(silent=True, x_disable_stats=True),
        )  # fmt: skip
        for step, values in training.curve:
            run.log(values, step=step)
        run.summary.update(training.final)
        run.finish()

    def close(self) -> str:
        """Return where the runs are."""
        return f"{self.folder / 'wandb'} (wandb sync)" if self.mode else f"project {self.project}"
