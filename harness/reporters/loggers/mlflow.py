"""MLflow: an experiment for each run, with an MLflow run for each training."""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness.reporters.loggers.base import Training

_MOST_TEXT = 500
"""Characters of a parameter that every MLflow server takes."""


class MlflowLogger:
    """Writes to MLFLOW_TRACKING_URI, or where that is not set to a database in the folder of the run."""

    def __init__(self, folder: Path, run: str) -> None:
        from mlflow.tracking import MlflowClient

        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlflow").resolve().as_uri()
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self.client = MlflowClient(tracking_uri=self.uri)
        self.experiment = self.client.create_experiment(f"harness/{run}")

    def training(self, training: Training) -> None:
        """Write one MLflow run."""
        from mlflow.entities import Metric, Param

        run = self.client.create_run(self.experiment, run_name=training.name).info.run_id
        now = int(time.time() * 1000)
        points = [Metric(k, v, now, step) for step, values in training.curve for k, v in values.items()]
        points += [Metric(f"final.{name}", value, now, 0) for name, value in training.final.items()]
        params = [Param(name.replace(":", "."), str(value)[:_MOST_TEXT]) for name, value in training.params.items()]
        for start in range(0, len(params), 100):  # as many as one request may have
            self.client.log_batch(run, params=params[start : start + 100])
        for start in range(0, len(points), 1000):
            self.client.log_batch(run, metrics=points[start : start + 1000])
        self.client.set_terminated(run)

    def close(self) -> str:
        """Return the address."""
        return self.uri
