"""What figures show: means, error bars over independent observations, costs of a distilled set counted once."""

import numpy as np
import pytest

from harness.reporters.figures.points import accuracy_points, bars_note, interval
from harness.reporters.tables.prepare import prepare


def test_students_of_one_set_give_students_t_interval():
    """t at 97.5 % with 2 degrees of freedom is 4.303; the sample standard deviation of 1, 2, 3 is 1."""
    found = interval(np.array([1.0, 2.0, 3.0]), np.zeros(3), "ci95")
    assert (found.mean, found.num_runs, found.num_observations) == (2.0, 3, 3)
    assert found.high - found.mean == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_students_that_share_a_distilled_set_count_as_one_observation():
    found = interval(np.array([1.0, 1.0, 1.0, 3.0, 3.0, 3.0]), np.array([0, 0, 0, 1, 1, 1]), "ci95")
    assert (found.mean, found.num_runs, found.num_observations) == (2.0, 6, 2)
    assert found.high - found.mean == pytest.approx(12.7062, rel=1e-4)  # t, 1 degree of freedom; std sqrt(2), n 2


def test_standard_deviation_is_that_of_all_runs():
    found = interval(np.array([1.0, 2.0, 3.0]), np.zeros(3), "std")
    assert (found.low, found.high) == (1.0, 3.0)


def test_a_single_run_has_no_error_bar_and_the_note_says_so(row, table):
    points = accuracy_points(prepare(table([row()])), "top1_best", "ci95")
    assert np.isnan(points["low"]).all()
    assert "No error bars" in bars_note(points, "ci95")


def test_times_are_fit_plus_synthesize_averaged_over_distilled_sets_not_students(row, table):
    rows = [row(training_seed=s, distillation_seed=0) for s in range(3)] + [row(distillation_seed=1, fit_wall_s=120.0)]
    point = accuracy_points(prepare(table(rows)), "top1_best", "ci95").iloc[0]
    assert point["wall_s"] == pytest.approx((65 + 125) / 2)
    assert point["device_s"] == pytest.approx(130)


def test_results_of_two_devices_are_two_points(row, table):
    points = accuracy_points(prepare(table([row(), row(training_seed=1, device="H200")])), "top1_best", "ci95")
    assert set(points["label"]) == {"Dit (cpu)", "Dit (H200)"}
