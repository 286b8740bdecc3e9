"""What a run that has ended says of its failures."""

from pathlib import Path

from harness.reporters.runs import Run


def test_a_failure_is_told_once_with_the_number_of_jobs_that_needed_it():
    cause = "RuntimeError: out of images (in all classes)"
    done = Run(
        "r", Path(), errors=dict.fromkeys(["synthesize a", "train a 0", "train a 1"], cause),
        causes={"train a 0": "synthesize a", "train a 1": "synthesize a"},
    )  # fmt: skip
    assert done.failures() == [f"synthesize a: {cause} (2 jobs could not run without it)"]


def test_a_very_long_error_is_cut():
    (line,) = Run("r", Path(), errors={"train a": "x" * 30_000}).failures()
    assert len(line) < 400
