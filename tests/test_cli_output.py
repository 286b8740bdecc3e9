"""What commands print of a run that has ended."""

from harness.cli_output import error_lines


def test_a_failure_is_told_once_with_the_number_of_jobs_that_needed_it():
    cause = "RuntimeError: out of images (in all classes)"
    errors = {
        "synthesize a": cause,
        "train a 0": f"{cause} (in synthesize a)",
        "train a 1": f"{cause} (in synthesize a)",
    }
    assert error_lines(errors) == [f"synthesize a: {cause} (2 jobs could not run without it)"]


def test_a_very_long_error_is_cut():
    (line,) = error_lines({"train a": "x" * 30_000})
    assert len(line) < 400
