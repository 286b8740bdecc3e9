"""The paper-style table."""

import pytest

from harness.reporters.paper import paper


def test_rows_are_ipc_and_test_model_and_the_full_data_stand_last(run):
    (table,) = paper(run)

    assert table.display.columns.tolist() == ["IPC", "Test model", "DIT", "MINIMAX", "HALF", "BROKEN", "PLUGIN", "FULL"]
    assert table.display.iloc[0].tolist() == [
        "10", "convnet6", "36.0 ± 1.0", "38.0 ± 1.0", "30.5 ± 0.7†", "†", "—", "86.5 ± 0.7",
    ]  # fmt: skip
    assert table.display[["IPC", "Test model"]].values.tolist()[1:3] == [["10", "resnet18"], ["50", "convnet6"]]


def test_the_best_of_a_row_is_bold_and_the_full_data_never(run):
    (table,) = paper(run)

    assert table.bold == {(i, "MINIMAX") for i in range(4)}
    assert "| **38.0 ± 1.0** |" in table.to_markdown()


def test_ties_as_displayed_are_all_bold_and_a_lone_method_is_not(record, frame):
    assert paper(frame(record("a", 30.01), record("b", 29.99)))[0].bold == {(0, "A"), (0, "B")}
    assert paper(frame(record("a", 30.0)))[0].bold == frozenset()


def test_the_metric_is_chosen_and_named(run):
    (table,) = paper(run, metric="top1_last")

    assert table.display.loc[0, "MINIMAX"] == "37.0 ± 1.0"
    assert "top1_last: the accuracy of the final model" in table.caption
    with pytest.raises(ValueError, match="use top1_best or top1_last"):
        paper(run, metric="top1")


def test_notes_name_what_failed_and_why(run):
    notes = "\n".join(paper(run)[0].notes)

    assert "† HALF: 4 of 12 failed: loss is NaN" in notes
    assert "† BROKEN: failed: ran out of images" in notes
    assert "\nPLUGIN: skipped: no module named [foo]" in notes


def test_the_frame_is_tidy_one_line_a_number(run):
    frame = paper(run)[0].frame

    assert len(frame) == 5 * 4 + 2
    row = frame[(frame["method"] == "HALF") & (frame["ipc"] == 50) & (frame["student"] == "resnet18")].iloc[0]
    assert (row["metric"], row["mean_percent"], row["num_runs"], row["num_failed"]) == ("top1_best", 30.5, 2, 1)


def test_only_the_full_row(record, frame):
    import pandas as pd

    (table,) = paper(frame(record("full", 86.0, reference_row=True, ipc=pd.NA)))
    assert table.display.values.tolist() == [["—", "convnet6", "86.0"]]


def test_a_method_that_was_not_run_at_an_ipc_has_a_dash(record, frame):
    (table,) = paper(frame(record("a"), record("b", ipc=50)))
    assert table.display[["A", "B"]].values.tolist() == [["34.0", "—"], ["—", "34.0"]]
