"""What the smaller set of a nested method cost: its own share of the work, not the largest set's."""

import pytest

from harness.execution.records import synthesis_cost

MEASURED = {"wall_s": 60.0, "device_s": 120.0, "per_image_s": 50.0, "energy_j": 6000.0, "load_s": 7.0}


def test_a_smaller_set_costs_what_is_fixed_and_its_share_of_the_rest():
    cost, how = synthesis_cost(MEASURED, 10 / 50)
    assert cost == pytest.approx({**MEASURED, "wall_s": 20, "device_s": 40, "energy_j": 2000})
    assert how == "share"


def test_the_set_that_was_made_costs_what_was_measured():
    assert synthesis_cost(MEASURED, 1.0) == (MEASURED, "whole")


@pytest.mark.parametrize("measured", [{**MEASURED, "per_image_s": 0.0}, {"wall_s": 60.0, "device_s": 120.0}])
def test_where_nothing_says_what_grows_the_time_of_the_largest_set_stands_and_is_called_so(measured):
    assert synthesis_cost(measured, 0.2) == (measured, "largest set")


def test_energy_that_is_unknown_stays_so():
    assert synthesis_cost({**MEASURED, "energy_j": None}, 0.2)[0]["energy_j"] is None
