"""Loggers: a run's trainings, sent to TensorBoard, MLflow or Weights & Biases when the run has ended."""
