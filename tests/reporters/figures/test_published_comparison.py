"""Measured against published is drawn where both numbers exist, with the intervals of the table."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection

import harness
from harness.core.errors import UserError
from harness.reporters.figures.published_comparison import beside_figures
from harness.reporters.figures.style import style
from harness.reporters.published_numbers import PublishedNumber
from tests.helpers.made_run import make_record, make_run

MEANS = {("dit", 10): 34.0, ("dit", 50): 46.0, ("minimax", 10): 38.0, ("mine", 10): 60.0}


@pytest.fixture
def records():
    return [
        make_record(method, ipc=ipc, training_seed=seed, top1_best=mean + seed)
        for (method, ipc), mean in MEANS.items()
        for seed in (-1, 0, 1)
    ]


def drawn(table, **changes):
    with style():
        return dict(beside_figures(table, **changes))


def said(figure):
    return " ".join(" ".join(t.get_text() for t in figure.texts).split())


def points_of(figure):
    """The markers of the first facet as (published, measured)."""
    markers = [c.get_offsets() for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    return {tuple(point) for offsets in markers for point in np.round(offsets, 3).tolist()}


def test_every_compared_number_is_a_point_and_nothing_else(records, table):
    figure = drawn(table(records))["published"]
    assert points_of(figure) == {(34.2, 34.0), (46.5, 46.0), (37.0, 38.0)}
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["Dit", "Minimax", "Measured = published"]


def test_axes_have_units_and_one_range_and_the_bars_are_the_interval(records, table):
    figure = drawn(table(records))["published"]
    ax = figure.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Published top-1 accuracy (%)", "Measured top-1 accuracy (%)")
    assert ax.get_xlim() == ax.get_ylim()
    half = 4.303 / 3**0.5  # t at 97.5 % and 2 degrees of freedom; the sample standard deviation is 1
    lines = [segment for c in ax.collections if isinstance(c, LineCollection) for segment in c.get_segments()]
    ends = {round(float(end), 2) for segment in lines for end in segment[:, 1]}
    assert {round(34 - half, 2), round(34 + half, 2)} <= ends
    assert "95 % confidence interval of the measured mean" in said(figure)
    assert "3 of 3 published means are within" in said(figure)
    assert "one sample standard deviation" in said(drawn(table(records), bars="std")["published"])


def test_context_is_never_drawn(records, table):
    numbers = [
        PublishedNumber(suite="imagewoof", protocol=protocol, ipc=None, student=None, method="dit", metric="top1_best", mean=34.0,
                        std=None, source="a page")
        for protocol in ("unstated", "idc")
    ]  # fmt: skip
    assert drawn(table(records), numbers=numbers) == {}


def test_one_seed_is_a_point_without_a_bar(table):
    figure = drawn(table([make_record("dit")]))["published"]
    assert points_of(figure) == {(34.2, 34.0)}
    assert "a point of one student has no bar" in said(figure)


def test_several_runs_are_drawn_together_into_a_named_folder(records, tmp_path):
    for name, method in (("a", "dit"), ("b", "minimax")):
        make_run(tmp_path / "runs" / name, [r for r in records if r["method"] == method])
    with pytest.raises(UserError, match="to=FOLDER"):
        harness.figures(["a", "b"], tmp_path, kinds=("published",))
    done = harness.figures(["a", "b"], tmp_path, kinds=("published",), to=tmp_path / "out")
    assert done == {"published": tuple(tmp_path / "out" / f"published.{ending}" for ending in ("png", "pdf", "svg"))}
    assert done["published"][0].read_bytes().startswith(b"\x89PNG")


def test_a_run_with_nothing_to_compare_says_so(tmp_path):
    make_run(tmp_path / "runs" / "a", [make_record("mine")])
    with pytest.raises(UserError, match="a: nothing to compare"):
        harness.figures("a", tmp_path, kinds=("published",))
    make_run(tmp_path / "runs" / "b", [make_record("mine", suite="mine")])
    with pytest.raises(UserError, match="no published number for suite 'mine'"):
        harness.figures("b", tmp_path, kinds=("published",))
