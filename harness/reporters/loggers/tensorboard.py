"""TensorBoard: event files in the run's folder."""

from __future__ import annotations

from pathlib import Path

from harness.reporters.loggers.base import Training


class TensorBoardLogger:
    """Writes `tensorboard/` into the folder of a run; `tensorboard --logdir` of that folder shows curves and options."""

    def __init__(self, folder: Path, run: str) -> None:
        self.place = folder / "tensorboard"

    def training(self, training: Training) -> None:
        """Write the curve as scalars, the options and the final numbers as hyper-parameters."""
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(log_dir=str(self.place / training.name)) as writer:
            for step, values in training.curve:
                for name, value in values.items():
                    writer.add_scalar(name, value, step)
            final = {f"final/{name}": value for name, value in training.final.items()}
            writer.add_hparams(training.params, final, run_name=".")

    def close(self) -> str:
        """Return the folder."""
        return f"{self.place} (tensorboard --logdir {self.place})"
