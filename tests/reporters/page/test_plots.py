"""The numbers of the interactive plots, and how a page carries them."""

from __future__ import annotations

import json
import re

import pytest

from harness.api import report
from harness.core.store import Store
from harness.jobs.curves import write_curves
from harness.reporters.page.plots import MOST_POINTS, plots
from harness.reporters.runs import as_frame
from tests.helpers.made_run import make_record, make_run

EVIL = "</script><script>document.title = 'owned'</script><!--<script>"


@pytest.fixture
def store(tmp_path) -> Store:
    """Three trainings, one with fewer epochs."""
    store = Store(tmp_path / "own")
    for number, epochs in enumerate((300, 300, 299)):
        rows = [{"epoch": e, "train_loss": 1.0, "top1": number + 50 * e / 300} for e in range(1, epochs + 1)]
        store.write(
            "train", str(number) * 32, lambda folder, rows=rows: write_curves(folder / "curves.csv", rows) or {}
        )
    return store


def trainings(**changes):
    return [
        make_record(training_seed=seed, train_key=str(seed) * 32, top1_last=30.0 + 2 * seed, **changes)
        for seed in range(3)
    ]


def shown(found: list[dict], against: str) -> list[dict]:
    return [plot for plot in found if plot["tabs"]["against"] == against]


def test_a_point_has_its_mean_interval_and_number_of_students():
    full = make_record("full", ipc=None, reference_row=True, top1_last=99.0)
    (plot,) = shown(plots(as_frame([*trainings(), full]), [], "top1_last"), "ipc")
    assert plot["tabs"] == {"student": "convnet6", "against": "ipc"}
    ((x, mean, low, high, num, ipc),) = plot["lines"][0]["points"]
    assert (x, mean, num, ipc) == (10, 32, 3, 10)
    assert (low, high) == pytest.approx((27.03, 36.97), abs=0.01)
    assert plot["full"] == [["Full", 99, None, None]]


def test_costs_are_drawn_where_they_are_known():
    rows = [make_record("dit"), make_record("given", fit_wall_s=None, synthesize_wall_s=None)]
    (plot,) = shown(plots(as_frame(rows), [], "top1_last"), "time")
    assert [line["label"] for line in plot["lines"]] == ["Dit"]
    assert plot["lines"][0]["points"][0][0] == 65


def test_a_curve_is_the_mean_and_range_of_its_trainings_and_ends_where_all_end(store):
    (plot,) = shown(plots(as_frame(trainings()), [store], "top1_last"), "training")
    points = plot["lines"][0]["points"]
    assert len(points) <= MOST_POINTS
    last = 50 * 299 / 300
    assert points[-1] == [299, round(1 + last, 1), round(last, 1), round(2 + last, 1), 3]
    assert (plot["tabs"], plot["note"]) == ({"student": "convnet6", "ipc": "10", "against": "training"}, "")


def test_a_curve_that_is_not_here_is_counted_and_nothing_is_changed(store):
    rows = [
        *trainings(),
        make_record(training_seed=3, train_key="e" * 32),
        make_record(training_seed=4, train_key="../x"),
    ]
    (store.path("train", "0" * 32) / "curves.csv").write_text("epoch,top1\n1,99.0\n")
    (plot,) = shown(plots(as_frame(rows), [store], "top1_last"), "training")
    assert plot["note"] == "3 curves not on this machine"
    assert plot["lines"][0]["points"][0][-1] == 2
    assert store.path("train", "0" * 32).is_dir(), "a page sets nothing aside"


def test_curves_of_two_stores_are_found(store, tmp_path):
    (plot,) = shown(plots(as_frame(trainings()), [Store(tmp_path / "other"), store], "top1_last"), "training")
    assert plot["note"] == ""


def test_a_remote_store_is_not_asked(monkeypatch):
    monkeypatch.setattr(Store, "_remote", property(lambda _: pytest.fail("asked")))
    assert not shown(plots(as_frame(trainings()), [Store("memory://nowhere")], "top1_last"), "training")


def test_a_run_without_a_result_has_no_plots():
    assert plots(as_frame([make_record(status="failed", error="no")]), [], "top1_last") == []


def test_no_name_ends_the_data_of_the_plots(tmp_path):
    """A method may have any title; within a script element `</script>` and `<!--` would end or hide the data."""
    rows = trainings(method_title=EVIL)
    text = report.write_page(make_run(tmp_path / "evil", rows)).read_text()
    data = re.search(r'<script type="application/json" id="plots-data">(.*?)</script>', text, re.S)
    assert data is not None
    assert json.loads(data[1])[0]["lines"][0]["label"] == EVIL
    assert not re.search("[<>&]", data[1])
    assert "document.title = 'owned'</script>" not in text


def test_the_page_of_plots_carries_the_licence_of_what_draws_them(tmp_path):
    text = report.write_page(make_run(tmp_path / "run", trainings())).read_text()
    assert "uPlot (v1.6.32)" in text
    assert "Copyright (c) 2022 Leon Sorokin" in text
    none = report.write_page(make_run(tmp_path / "none", [make_record(status="failed", error="no")])).read_text()
    assert "uPlot (v" not in none
