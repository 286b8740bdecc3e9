"""Published beside measured: compared where protocol, IPC, student, method and metric agree, context otherwise."""

import pytest

from harness.core.errors import UserError
from harness.reporters.published_numbers import PublishedNumber
from harness.reporters.tables.published_comparison import published


def number(**changes):
    base = {"suite": "imagewoof", "protocol": "idc", "ipc": 10, "student": "convnet6", "method": "dit",
            "metric": "top1_best", "mean": 34.2, "std": 1.1, "source": "A paper, Table 1"}  # fmt: skip
    return PublishedNumber.model_validate(base | changes)


@pytest.fixture
def measured(record, frame):
    return frame(*[record("dit", mean, training_seed=seed) for seed, mean in enumerate((34.0, 35.0, 36.0))])


def test_the_difference_and_whether_the_published_mean_is_inside_our_interval(measured):
    (table,) = published(measured, [number(), number(mean=30.0)])
    inside, outside = table.frame.iloc[0], table.frame.iloc[1]

    assert inside["difference_percent"] == pytest.approx(0.8)
    assert (bool(inside["inside"]), bool(outside["inside"])) == (True, False)
    assert table.display.iloc[0].tolist() == [
        "10", "convnet6", "DIT", "34.2 ± 1.1", "35.0 ± 1.0", "3", "32.5 to 37.5", "+0.8", "yes", "—", "[1]",
    ]  # fmt: skip
    assert table.notes == ("[1] A paper, Table 1",)


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"protocol": "unstated"}, "context: protocol, IPC or student unstated"),
        ({"student": "", "ipc": ""}, "context: protocol, IPC or student unstated"),
        ({"protocol": "rded"}, "context: protocol rded"),
        ({"metric": "overall_accuracy"}, "context: metric overall_accuracy"),
        ({"ipc": 50}, "not in this run"),
        ({"method": "glad"}, "not in this run"),
    ],
)
def test_what_may_not_be_compared_is_listed_without_a_difference(measured, changes, remark):
    row = published(measured, [number(**changes)])[0].display.iloc[0]
    assert (row["Remark"], row["Measured"], row["Difference"], row["Inside"]) == (remark, "—", "—", "—")
    assert row["Published"] == "34.2 ± 1.1"


def test_one_seed_has_a_difference_and_no_interval(record, frame):
    row = published(frame(record()), [number()])[0].display.iloc[0]
    assert (row["Difference"], row["Inside"], row["Remark"]) == ("−0.2", "—", "no interval: one observation")


def test_a_failed_method_says_so(record, frame):
    row = published(frame(record(status="failed")), [number()])[0].display.iloc[0]
    assert row["Remark"] == "measured: failed"


def test_the_full_data_is_compared_with_the_reference_row(record, frame):
    import pandas as pd

    full = frame(record("full", 86.0, reference_row=True, ipc=pd.NA))
    row = published(full, [number(ipc="full", method="full", mean=86.4)])[0].display.iloc[0]
    assert (row["IPC"], row["Difference"]) == ("all", "−0.4")


def test_variants_of_a_method_each_have_a_line(record, frame):
    rows = frame(record(config='{"steps": 25}'), record(config='{"steps": 50}', top1_best=35.0))
    assert len(published(rows, [number()])[0].display) == 2


def test_a_suite_without_published_numbers_is_a_message(measured):
    with pytest.raises(UserError, match="no published number for suite 'imagewoof'; there are some for aid"):
        published(measured, [number(suite="aid")])


def test_all_rows_of_the_suite_stand_in_the_table(measured):
    """Of the real files: 111 of the paper, one of its results page, 70 of later papers."""
    (table,) = published(measured)
    assert len(table.display) == 182
    assert (table.display["Inside"] != "—").sum() == 1
