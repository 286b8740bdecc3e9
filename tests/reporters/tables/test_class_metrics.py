"""Scores that tell classes apart are shown where a suite asks, each under a name and a unit of its own."""

import json

import pandas as pd
import pytest

from harness.reporters import build_reports

LONG_TAIL = {
    "suite": "cifar10_lt", "metrics": "head_tail, class_accuracy", "head_accuracy_last": 90.0,
    "medium_accuracy_last": 40.0, "tail_accuracy_last": 5.0, "many_shot_accuracy_last": 60.0,
    "few_shot_accuracy_last": None, "kappa_last": 0.4, "average_accuracy_last": 45.0,
    "class_accuracy_last": json.dumps({"cat": 30.0, "dog": None}), "class_accuracy_best": json.dumps({"cat": 31.0, "dog": 1.0}),
}  # fmt: skip
AERIAL = {"suite": "aid", "metrics": "average_accuracy, kappa", "average_accuracy_last": 30.0, "kappa_last": 0.2512}


def reports(frame, *records):
    return build_reports(frame(*records), ["metrics", "class_accuracy"])


def test_overall_and_average_accuracy_and_kappa_stand_under_names_and_units(record, frame):
    rows = [record(top1_best=35.0 + seed, training_seed=seed, **AERIAL) for seed in (0, 1)]
    table = reports(frame, *rows)["metrics"]
    shown = table.display.iloc[0]
    assert shown["Overall accuracy %"] == "34.5 ± 0.7", "of the final model, as all of this table"
    assert shown["Average accuracy %"] == "30.0 ± 0.0"
    assert shown["Kappa"] == "0.251 ± 0.000"
    assert table.frame["overall_accuracy_last_mean_percent"].item() == 34.5
    assert table.frame["overall_accuracy_best_mean_percent"].item() == 35.5
    assert table.frame["kappa_last_mean"].item() == pytest.approx(0.2512), "no percent: kappa has no unit"
    assert "every class with equal weight" in table.caption
    assert "every test image with equal weight" in table.caption


def test_head_to_tail_is_shown_with_its_definition_and_groups_without_classes_are_not(record, frame):
    table = reports(frame, record(**LONG_TAIL))["metrics"]
    shown = table.display.iloc[0]
    assert (shown["Head accuracy %"], shown["Medium accuracy %"], shown["Tail accuracy %"]) == ("90.0", "40.0", "5.0")
    assert shown["Many-shot accuracy %"] == "60.0"
    assert "Few-shot accuracy %" not in table.display
    assert "Average accuracy %" not in table.display, "this suite did not ask for it"
    assert "thirds of the classes" in table.caption


def test_a_suite_that_asks_for_nothing_has_no_such_table(record, frame):
    assert reports(frame, record(), record(suite="other", metrics="")) == {}


def test_failed_methods_keep_their_row(record, frame):
    rows = [record(**AERIAL), record("broken", suite="aid", metrics=AERIAL["metrics"], status="failed", error="why")]
    table = reports(frame, *rows)["metrics"]
    assert table.display["Status"].tolist() == ["done", "failed: why"]
    assert table.display["Kappa"].tolist() == ["0.251", "—"]


def test_every_class_has_a_row_and_every_method_a_column(record, frame):
    full = {
        **LONG_TAIL,
        "reference_row": True,
        "ipc": pd.NA,
        "class_accuracy_last": json.dumps({"cat": 80.0, "dog": 70.0}),
    }
    table = reports(frame, record("dit", **LONG_TAIL), record("full", 80.0, **full))["class_accuracy"]
    assert table.display.to_dict("records") == [
        {"IPC": "10", "Test model": "convnet6", "Class": "cat", "DIT": "30.0", "FULL": "80.0"},
        {"IPC": "10", "Test model": "convnet6", "Class": "dog", "DIT": "—", "FULL": "70.0"},
    ]
    assert table.frame.query("method == 'dit' and `class` == 'cat'")["accuracy_best_mean_percent"].item() == 31.0
    assert table.long, "100 classes fill no terminal"


def test_no_finished_training_gives_no_table_of_classes(record, frame):
    rows = record(suite="cifar10_lt", metrics="class_accuracy", status="failed", error="why")
    assert reports(frame, rows) == {}
