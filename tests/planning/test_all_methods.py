"""`--methods all`: which methods there are, and what becomes of those that need a generator where a suite has none."""

import pytest
import yaml

from harness.api.run import prepare
from harness.planning.request import make_request
from tests.helpers.support import tiny_suite_values

WITHOUT_GENERATOR = {*["random_real", "herding", "k_center", "dm", "dc", "dsa", "rded", "sre2l", "cda", "full"]}
WITH_GENERATOR = {
    **dict.fromkeys(["dit", "minimax", "mgd3", "d3hr", "cao2"], "class_conditional"),
    **dict.fromkeys(["d3m", "d4m"], "text_to_image"),
    "ims3": "class_conditional",
}
"""The kind of generator that each of the others needs."""


ALL = WITHOUT_GENERATOR | set(WITH_GENERATOR)


@pytest.fixture
def no_generator(tmp_path):
    """The file of a suite like the tiny one, without its generators."""
    values = tiny_suite_values()
    del values["generators"]
    path = tmp_path / "bare.yaml"
    path.write_text(yaml.safe_dump(values | {"name": "bare"}))
    return path


def test_all_are_all_methods_of_the_project_the_full_data_among_them(tiny_suite, tmp_path):
    """The digits suite, of which this one is made, can run each of them."""
    resolved, plan = prepare(make_request(methods=["all"], suite=tiny_suite, store=tmp_path))
    assert {m.name for m in resolved.plan_input.methods} == ALL
    assert not [m.name for m in resolved.plan_input.methods if m.skip]
    assert {row.method for row in plan.rows if row.train} == ALL


def test_without_a_generator_the_methods_that_need_one_keep_their_rows_with_the_reason(no_generator, tmp_path, cli):
    resolved, plan = prepare(make_request(methods=["all"], suite=no_generator, store=tmp_path))
    skipped = {m.name: m.skip for m in resolved.plan_input.methods if m.skip}
    reasons = {name: f"suite bare provides no {kind}_generator" for name, kind in WITH_GENERATOR.items()}
    assert skipped == reasons | {"ims3": f"ims3 wraps dit: {reasons['dit']}"}
    for method in resolved.plan_input.methods:
        rows = [row for row in plan.rows if row.method == method.name]
        assert rows
        assert {row.skip for row in rows} == {method.skip}
        assert all((row.train is None) == bool(method.skip) for row in rows)
    out = cli("run", "--suite", no_generator, "--methods", "all", "--store", tmp_path, "--dry-run")[1]
    assert all(f"skipped: {name}: {why}" in out for name, why in skipped.items())
