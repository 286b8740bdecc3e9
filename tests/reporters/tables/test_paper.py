"""The paper-style table."""

import numpy as np
import pandas as pd
import pytest

from harness.reporters.stats.summary import t_interval
from harness.reporters.tables.paper import paper


def test_rows_are_ipc_and_test_model_and_the_full_data_stand_last(run):
    (table,) = paper(run)

    assert table.display.columns.tolist() == ["IPC", "Test model", "DIT", "MINIMAX", "HALF", "BROKEN", "PLUGIN", "FULL"]
    assert table.display.iloc[0].tolist() == [
        "10", "convnet6", "36.0 ± 1.0", "38.0 ± 1.0", "30.5 ± 0.7†", "†", "—", "86.5 ± 0.7",
    ]  # fmt: skip
    assert table.display[["IPC", "Test model"]].values.tolist()[1:3] == [["10", "resnet18"], ["50", "convnet6"]]


def test_the_best_of_a_row_is_bold_and_the_full_data_never(run):
    (table,) = paper(run)

    assert table.bold == {(i, name) for i in range(4) for name in ("MINIMAX", "DIT")}
    assert "| **38.0 ± 1.0** |" in table.to_markdown()


def noisy(record, frame, means, seeds=5, **place):
    """Records of methods with these true means, std 1, a seed's luck shared by nobody."""
    rng = np.random.default_rng(0)
    return frame(
        *[
            record(name, mean + rng.normal(), training_seed=seed, **place)
            for seed in range(seeds)
            for name, mean in means.items()
        ]
    )


def test_ties_are_decided_by_the_test_and_not_by_digits(record, frame):
    (table,) = paper(noisy(record, frame, {"a": 60.0, "b": 60.3, "c": 40.0, "d": 40.5, "e": 20.0}))

    assert table.bold == {(0, "A"), (0, "B")}
    assert table.underline == {(0, "D")}
    assert table.display.loc[0, "A"] != table.display.loc[0, "B"]


def test_fewer_than_three_seeds_mark_nothing_and_the_caption_says_so(record, frame):
    (table,) = paper(frame(record("a", 30.01), record("b", 29.99), record("c", 29.0)))

    assert (table.bold, table.underline) == (frozenset(), frozenset())
    assert "Fewer than three seeds: no ranks" in table.caption
    assert "One run per method: no standard deviation and no significance test." in table.caption
    assert "bold" not in table.caption.lower()
    assert paper(frame(record("a", 30.0)))[0].bold == frozenset()


def test_a_method_with_one_seed_has_no_rank_and_is_named(record, frame):
    rows = noisy(record, frame, {"a": 60.0, "b": 40.0})
    (table,) = paper(pd.concat([rows, frame(record("c", 61.0))]))

    assert (table.bold, table.underline) == ({(0, "A")}, {(0, "B")})
    assert "Fewer than three seeds, not tested: C (IPC 10, convnet6)" in table.notes
    assert table.frame.set_index("method")["among_best"].dropna().to_dict() == {"A": True, "B": False}


def test_the_caption_says_what_the_interval_covers(record, frame):
    one = paper(noisy(record, frame, {"a": 60.0, "b": 40.0}))[0]
    assert "One distillation seed: intervals and tests hold for these distilled sets only." in one.caption
    assert "multiple comparisons with the best within each row" in one.caption
    rng = np.random.default_rng(0)
    several = paper(
        frame(
            *[
                record(m, 40 + rng.normal(), distillation_seed=d, training_seed=t)
                for m in "ab" for d in range(3) for t in range(2)
            ]
        )
    )[0]  # fmt: skip
    assert "one value per distilled set, the mean over its training seeds (3 sets per method)" in several.caption


def test_the_frame_has_the_interval(record, frame):
    row = paper(frame(*[record("a", 30.0 + t, training_seed=t) for t in range(3)]))[0].frame.iloc[0]
    low, high = t_interval([30.0, 31.0, 32.0])
    assert (row["low_percent"], row["high_percent"]) == (low, high)


def test_the_metric_is_chosen_and_named(run):
    (table,) = paper(run, metric="top1_last")

    assert table.display.loc[0, "MINIMAX"] == "37.0 ± 1.0"
    assert "in percent (final model)" in table.caption
    with pytest.raises(ValueError, match="use top1_best or top1_last"):
        paper(run, metric="top1")


def test_notes_name_what_failed_and_why(run):
    notes = "\n".join(paper(run)[0].all_notes())

    assert "† HALF: 4 of 12 failed: loss is NaN" in notes
    assert "† BROKEN: failed: ran out of images" in notes
    assert "\nPLUGIN: skipped: no module named [foo]" in notes


def test_the_frame_is_tidy_one_line_a_number(run):
    frame = paper(run)[0].frame

    assert len(frame) == 5 * 4 + 2
    row = frame[(frame["method"] == "HALF") & (frame["ipc"] == 50) & (frame["student"] == "resnet18")].iloc[0]
    assert (row["metric"], row["mean_percent"], row["num_runs"], row["num_failed"]) == ("top1_best", 30.5, 2, 1)


def test_only_the_full_row(record, frame):
    (table,) = paper(frame(record("full", 86.0, reference_row=True, ipc=pd.NA)))
    assert table.display.values.tolist() == [["—", "convnet6", "86.0"]]


def test_a_method_that_was_not_run_at_an_ipc_has_a_dash(record, frame):
    (table,) = paper(frame(record("a"), record("b", ipc=50)))
    assert table.display[["A", "B"]].values.tolist() == [["34.0", "—"], ["—", "34.0"]]
