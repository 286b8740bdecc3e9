"""The leaderboard: every method has its row, nothing is averaged that must not be."""

import numpy as np
import pandas as pd
import pytest

from harness.core.errors import UserError
from harness.reporters.tables.leaderboard import leaderboard
from harness.reporters.tables.paper import paper


def test_rows_are_sorted_and_every_method_has_one_per_ipc(run):
    (table,) = leaderboard(run)
    shown = list(zip(table.display["Method"], table.display["IPC"], strict=True))

    per_ipc = ["MINIMAX", "DIT", "HALF"]
    assert shown[:3] == [(m, "10") for m in per_ipc]
    assert {m for m, _ in shown[3:5]} == {"BROKEN", "PLUGIN"}
    assert shown[5:8] == [(m, "50") for m in per_ipc]
    assert shown[-1] == ("FULL", "all")
    assert len(shown) == 11


def test_cells_show_mean_and_sample_std_of_best_and_last(run):
    (table,) = leaderboard(run)
    row = table.display.iloc[0]

    assert (row["convnet6 best"], row["convnet6 last"], row["n"], row["Status"]) == (
        "38.0 ± 1.0",
        "37.0 ± 1.0",
        "3",
        "done",
    )
    plain = table.frame.iloc[0]
    assert plain["convnet6_top1_best_mean_percent"] == 38.0
    assert plain["convnet6_top1_best_std_percent"] == 1.0
    assert plain["resnet18_top5_best_mean_percent"] == 71.0
    assert plain["num_training_seeds"] == 3


def test_failures_and_skips_keep_their_reason_short_in_display_and_whole_in_the_frame(run):
    (table,) = leaderboard(run)
    status = dict(zip(table.display["Method"], table.display["Status"], strict=True))
    errors = dict(zip(table.frame["method"], table.frame["error"], strict=True))

    assert status["HALF"] == "2 of 6 failed: loss is NaN | see log"
    assert status["BROKEN"].startswith("failed: ran out of images xxx")
    assert len(status["BROKEN"]) < 80
    assert status["PLUGIN"] == "skipped: no module named [foo]"
    assert errors["broken"] == "ran out\nof images " + "x" * 200
    half = table.display.set_index("Method").loc["HALF"].iloc[0]
    assert (half["convnet6 best"], half["n"]) == ("30.5 ± 0.7", "2")
    broken = table.display.set_index("Method").loc["BROKEN"].iloc[0]
    assert (broken["convnet6 best"], broken["n"]) == ("—", "0")


def test_the_caption_speaks_of_a_best_evaluation_only_where_one_was_better_than_the_last(record, frame):
    """Under dc and dsa a student is scored once, after the last epoch: nothing was chosen on the test split."""
    for last, said in ((10.0, "last and best are equal"), (9.0, "best: the best evaluation during training")):
        (table,) = leaderboard(frame(record(top1_best=10.0, top1_last=last)))
        assert said in table.caption
    (table,) = paper(frame(record(top1_best=10.0, top1_last=10.0)))
    assert "(final model; no evaluation was better)" in table.caption


@pytest.mark.parametrize("column", ["suite", "suite_version", "source", "protocol", "protocol_version"])
def test_nothing_is_averaged_across_scopes(record, frame, column):
    other = {"suite_version": 2, "protocol_version": 2}.get(column, "other")
    tables = leaderboard(frame(record(top1_best=10.0), record(top1_best=20.0, **{column: other})))

    assert [t.display["convnet6 best"].tolist() for t in tables] == [["10.0"], ["20.0"]]
    assert tables[0].caption != tables[1].caption


def test_versions_and_configs_of_a_method_stay_apart(record, frame):
    (table,) = leaderboard(
        frame(
            record(top1_best=10.0, config='{"steps": 25, "guidance": 4}'),
            record(top1_best=20.0, config='{"steps": 50, "guidance": 4}'),
        )
    )
    assert dict(zip(table.display["Method"], table.display["convnet6 best"], strict=True)) == {
        "DIT [steps=50]": "20.0",
        "DIT [steps=25]": "10.0",
    }
    (table,) = leaderboard(frame(record(top1_best=10.0), record(top1_best=20.0, method_version=2)))
    assert table.display["Method"].tolist() == ["DIT v2", "DIT v1"]
    (table,) = leaderboard(frame(record("a", method_title="T"), record("b", method_title="T", method_version=3)))
    assert sorted(table.display["Method"]) == ["T (a)", "T (b)"]


def test_a_job_recorded_by_two_runs_counts_once_and_done_wins(record, frame):
    failed = record(status="failed", error="killed", run="r2")
    (table,) = leaderboard(frame(record(run="r1"), failed, record(run="r3", top1_best=35.0)))

    assert table.display[["convnet6 best", "n", "Status"]].values.tolist() == [["35.0", "1", "done"]]


def test_one_seed_shows_the_mean_alone(record, frame):
    (table,) = leaderboard(frame(record()))

    assert table.display["convnet6 best"].tolist() == ["34.0"]
    assert "1 distillation seed and 1 training seed." in table.caption
    assert pd.isna(table.frame.loc[0, "convnet6_top1_best_std_percent"])


def test_the_caption_says_what_the_numbers_are(run):
    caption = leaderboard(run)[0].caption

    for part in (
        "imagewoof (version 1)",
        "image folder imagenet1k",
        "idc (version 1)",
        "3 training seeds",
        "final model",
    ):
        assert part in caption


def test_a_run_where_everything_failed_has_no_accuracy_columns_and_still_a_table(record, frame):
    rows = frame(record(status="failed", error="boom"), record("other", status="interrupted", error="stopped"))
    (table,) = leaderboard(rows.drop(columns=["top1_best", "top1_last", "top5_best", "top5_last", "storage_bytes"]))

    assert sorted(table.display["Status"]) == ["failed: boom", "interrupted: stopped"]


def test_missing_rows_and_columns_are_told(run):
    with pytest.raises(UserError, match="no records to report on"):
        leaderboard(run.iloc[:0])
    with pytest.raises(UserError, match="lack the columns method, protocol"):
        leaderboard(run.drop(columns=["protocol", "method"]))
    with pytest.raises(UserError, match="status 'finished'"):
        leaderboard(run.assign(status="finished"))


def test_methods_that_cannot_be_told_apart_share_a_rank(record, frame):
    rng = np.random.default_rng(0)
    rows = [
        record(name, mean + rng.normal(), ipc=ipc, student=student, training_seed=seed)
        for name, mean in {"a": 60.0, "b": 60.2, "c": 40.0, "d": 40.2, "e": 20.0}.items()
        for ipc in (10, 50) for student in ("s", "t") for seed in range(5)
    ]  # fmt: skip
    (table,) = leaderboard(frame(*rows, record("full", 90.0, reference_row=True, ipc=pd.NA)))
    ranks = dict(
        zip(zip(table.display["Method"], table.display["IPC"], strict=True), table.display["Rank"], strict=True)
    )

    expected = {"A": "1", "B": "1", "C": "3", "D": "3", "E": "5"}
    assert ranks == {(m, ipc): rank for m, rank in expected.items() for ipc in ("10", "50")} | {("FULL", "all"): "—"}
    assert table.frame["rank"].tolist() == [1, 1, 3, 3, 5] * 2 + [pd.NA]
    assert "Holm-corrected over 20 tests" in table.caption


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_fewer_than_three_seeds_give_no_ranks_and_one_line(record, frame, num_seeds):
    rows = [
        record(name, best + seed, training_seed=seed)
        for name, best in (("a", 30), ("b", 90))
        for seed in range(num_seeds)
    ]
    (table,) = leaderboard(frame(*rows, record("c", status="failed", error="boom")))

    assert table.display["Rank"].tolist() == ["—"] * 3
    assert table.display["Method"].tolist() == ["B", "A", "C"]
    assert "Fewer than three seeds: no ranks and no significance tests." in table.caption
    assert "share it" not in table.caption
    assert "points" not in table.caption


def test_ranks_never_contradict_the_means_where_runs_are_merged(record, frame):
    """A method of one seed and the highest mean has no rank; it takes nobody's and gives nobody one."""
    rng = np.random.default_rng(0)
    rows = [
        record(name, mean + rng.normal(), training_seed=seed)
        for name, mean in (("a", 60), ("b", 59), ("c", 30)) for seed in range(3)
    ]  # fmt: skip
    (table,) = leaderboard(frame(*rows, record("d", 80.0, training_seed=7)))
    assert table.display.loc[0, ["Method", "Rank"]].tolist() == ["D", "—"]
    assert table.display["Rank"].tolist()[1:] == ["1", "1", "3"]


def test_the_final_model_is_ranked_and_the_best_evaluation_on_request(record, frame):
    """Here the method of the highest best evaluation is the one that falls back most."""
    rng = np.random.default_rng(0)
    rows = [
        record(name, best + rng.normal(), training_seed=seed, top1_last=last + rng.normal())
        for name, best, last in (("a", 90, 20), ("b", 60, 50), ("c", 40, 35)) for seed in range(5)
    ]  # fmt: skip
    (by_last,), (by_best,) = leaderboard(frame(*rows)), leaderboard(frame(*rows), rank_by="best")
    assert list(zip(by_last.display["Method"], by_last.display["Rank"], strict=True)) == [
        ("B", "1"),
        ("C", "2"),
        ("A", "3"),
    ]
    assert list(zip(by_best.display["Method"], by_best.display["Rank"], strict=True)) == [
        ("A", "1"),
        ("B", "2"),
        ("C", "3"),
    ]
    assert list(by_last.display)[3:5] == ["convnet6 last", "convnet6 best"]
    assert list(by_best.display)[3:5] == ["convnet6 best", "convnet6 last"]
    assert "Ranked by the mean of last over students" in by_last.caption
    assert set(by_best.frame["rank_by"]) == {"best"}
    with pytest.raises(UserError, match="rank_by 'top5' is not known; use 'last'"):
        leaderboard(frame(*rows), rank_by="top5")


def test_a_lone_method_has_no_rank(record, frame):
    assert leaderboard(frame(record("a"), record("a", training_seed=1)))[0].display["Rank"].tolist() == ["—"]


def test_a_method_that_lacks_a_student_has_no_rank_and_stands_below_the_others(record, frame):
    """Its mean is over other students than that of the rest: here of the easy one alone."""
    rng = np.random.default_rng(0)
    rows = [
        record(name, {"s": 80, "t": 40}[student] + rng.normal(), student=student, training_seed=seed)
        for name in "abc" for student in ("s", "t") for seed in range(3) if (name, student) != ("c", "t")
    ]  # fmt: skip
    (table,) = leaderboard(frame(*rows, record("c", student="t", status="failed", error="boom")))
    shown = table.display
    assert shown["Method"].tolist()[-1] == "C"
    assert dict(zip(shown["Method"], shown["Rank"], strict=True)) == {"A": "1", "B": "1", "C": "—"}
    assert "without one of the students has no rank" in table.caption
    nobody = frame(*rows, *(record(name, student="u", status="failed", error="boom") for name in "abc"))
    assert "—" not in leaderboard(nobody[nobody["method"] != "c"])[0].display["Rank"].tolist()


def test_a_changed_protocol_is_named_and_has_a_table_of_its_own(record, frame):
    own, changed = leaderboard(frame(record(), record(protocol_changes="lr=0.1, precision=bfloat16")))
    assert "lr=0.1" not in own.title + own.caption + own.brief
    assert changed.title == f"{own.title} [lr=0.1, precision=bfloat16]"
    assert "(version 1), with lr=0.1, precision=bfloat16." in changed.caption
    assert "with lr=0.1, precision=bfloat16)" in changed.brief
    assert set(changed.frame["protocol_changes"]) == {"lr=0.1, precision=bfloat16"}
