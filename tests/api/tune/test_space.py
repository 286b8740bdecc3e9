"""What is tuned of a method, and the points that random search and grids try."""

import pytest
import yaml

import harness
from harness.api.tune.prepare import prepare_tuning
from harness.api.tune.request import make_tune_request, parse_space
from harness.api.tune.space import MethodSpace, decoded, distributions, drawn, encoded, grid
from harness.core.config.search import Dimension

SPACE = MethodSpace(
    "m",
    {
        "m.a": Dimension("log", (1e-4, 1e-1)),
        "m.b": Dimension("integers", (1, 3)),
        "m.c": Dimension("choice", ("x", None, (1, 2))),
    },
    {"m.a": 1e-2, "m.b": 2, "m.c": "x"},
)


def test_points_drawn_are_in_the_space_and_more_of_them_begin_alike():
    points = drawn(SPACE, 3, 40)
    assert len(points) == 40
    assert all(SPACE.holds(point) for point in points)
    assert points[:7] == drawn(SPACE, 3, 7)
    assert points[:7] != drawn(SPACE, 4, 7)
    low = sum(point["m.a"] < 3e-3 for point in points)
    assert 10 < low < 30  # evenly in the logarithm


def test_a_small_space_is_used_up_and_nothing_is_tried_twice():
    small = MethodSpace("m", {"m.b": Dimension("integers", (1, 3))}, {"m.b": 2})
    assert sorted(point["m.b"] for point in drawn(small, 0, 10)) == [1, 3]
    assert [point["m.b"] for point in grid(small, 10)] == [1, 3]
    assert drawn(MethodSpace("m", {}, {}), 0, 10) == grid(MethodSpace("m", {}, {}), 10) == []


@pytest.mark.parametrize("most", [3, 5, 19, 40, 100])
def test_a_grid_fits_its_budget(most):
    points = grid(SPACE, most)
    assert 0 < len(points) <= most
    assert all(SPACE.holds(point) for point in points)
    assert len({str(point) for point in points}) == len(points)


def test_optuna_gets_back_what_it_was_told():
    space = distributions(SPACE)
    for point in [SPACE.default, *drawn(SPACE, 0, 20)]:
        params = encoded(SPACE, point)
        assert all(space[name]._contains(space[name].to_internal_repr(value)) for name, value in params.items())
        again = decoded(SPACE, params)
        assert SPACE.holds(again)
        assert encoded(SPACE, again) == params


def test_ranges_come_from_the_command_line_or_a_file(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump({"minimax": {"lambda_r": "log(1e-4,1e-1)"}, "dit.guidance": "linear(1,4)"}))
    expected = {"minimax.lambda_r": "log(1e-4,1e-1)", "dit.guidance": "linear(1,4)"}
    assert (
        parse_space(str(path))
        == parse_space(["minimax.lambda_r=log(1e-4,1e-1)", "dit.guidance=linear(1,4)"])
        == expected
    )


def test_the_suites_value_is_in_the_space_and_what_is_set_is_not_tuned():
    found = prepare_tuning(make_tune_request(methods=("minimax", "dit"), suite="digits", ipc=10, device="cpu"))
    minimax, dit = found.spaces
    assert minimax.default["minimax.lambda_r"] == 0.02
    assert all(space.holds(space.default) for space in found.spaces)
    assert minimax.notes == dit.notes == ()
    assert dit.dimensions == {"dit.guidance": Dimension("log", (1.0, 8.0))}
    fixed = prepare_tuning(
        make_tune_request(methods="minimax", suite="digits", settings={"minimax.lambda_r": 0.01}, tune_protocol="lr")
    )
    assert "minimax.lambda_r" not in fixed.spaces[0].dimensions
    assert fixed.spaces[0].default["protocol.lr"] == 0.02
    assert fixed.name != found.name


def test_every_method_of_ours_with_options_to_choose_has_a_space_or_nothing_to_tune():
    found = prepare_tuning(make_tune_request(methods="all", suite="digits", device="cpu"))
    have = {space.method: bool(space.dimensions) for space in found.spaces}
    assert all(
        have[name]
        for name in [
            "cao2",
            "cda",
            "d3hr",
            "d3m",
            "d4m",
            "dc",
            "dit",
            "dm",
            "dsa",
            "ims3",
            "mgd3",
            "minimax",
            "rded",
            "sre2l",
        ]
    )
    assert "full" not in have


def test_python_offers_it():
    assert callable(harness.tune)


def test_a_declared_range_is_widened_to_hold_the_suites_value_and_says_so():
    request = make_tune_request(methods=("dit", "dm"), suite="digits", ipc=10, protocol="idc", tune_protocol="lr")
    dit, dm = prepare_tuning(request).spaces
    assert dit.default["protocol.lr"] == dm.default["protocol.lr"] == 0.02
    assert dm.default["dm.lr"] is None
    assert not dm.holds(dm.default)
    assert dm.notes == ()


def test_a_value_beyond_a_declared_range_widens_it(tmp_path, tiny_suite):
    values = yaml.safe_load(tiny_suite.read_text())
    values["method_overrides"]["dit"]["guidance"] = 9.5
    path = tmp_path / "wide.yaml"
    path.write_text(yaml.safe_dump(values))
    (space,) = prepare_tuning(make_tune_request(methods="dit", suite=path)).spaces
    assert space.dimensions["dit.guidance"] == Dimension("log", (1.0, 9.5))
    assert space.notes == (
        "dit.guidance: the declared log(1, 8) was widened to log(1, 9.5) to include the suite's 9.5.",
    )
