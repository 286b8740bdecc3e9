"""Bars, best numbers and tabs of the tables on a page."""

from __future__ import annotations

import pandas as pd
import pytest

from harness.reporters.page.board import all_students, scope_means, with_bars, with_places
from harness.reporters.page.tables import Column, PageTable, make_page_table
from harness.reporters.runs import as_frame
from harness.reporters.tables.registry import build_reports
from tests.helpers.made_run import make_record

ACCURACY = {("dit", 10): (30, 32, 34), ("dm", 10): (50, 52, 54), ("dit", 50): (60, 61, 62), ("dm", 50): (40, 44, 48)}


def records() -> pd.DataFrame:
    rows = [
        make_record(
            method, ipc=ipc, student=student, training_seed=seed, top1_last=top1 + shift, top1_best=top1 + shift
        )
        for (method, ipc), found in ACCURACY.items()
        for seed, top1 in enumerate(found)
        for student, shift in (("convnet6", 0), ("resnet_ap10", 5))
    ]
    full = [make_record("full", ipc=None, reference_row=True, student=s, top1_last=99.0) for s in ("convnet6",)]
    return as_frame([*rows, *full])


@pytest.fixture(scope="module")
def board() -> PageTable:
    frame = records()
    table = make_page_table("leaderboard", build_reports(frame, ["leaderboard"])["leaderboard"])
    (means,) = scope_means(frame, "top1_last")
    return with_bars(with_places(table, all_students(frame)), means, "top1_last")


def cells(board: PageTable, column: str) -> dict[tuple[str, str], object]:
    names = [one.name for one in board.columns]
    method, ipc, wanted = (names.index(name) for name in ("Method", "IPC", column))
    return {(row[method].text, row[ipc].text): row[wanted] for row in board.rows}


def test_a_bar_is_as_long_as_the_mean_and_its_line_is_the_interval(board):
    """30, 32, 34: the interval of the mean is 32 ± 4.97 (t of 2 degrees of freedom, 4.303, times 2 / sqrt(3))."""
    bar = cells(board, "convnet6 last")["Dit", "10"].bar
    assert bar.length == 32.0
    assert (bar.low, bar.high) == pytest.approx((27.0, 37.0), abs=0.05)


def test_only_the_ranked_accuracy_has_bars_and_one_run_has_no_interval(board):
    assert all(cell.bar is None for cell in cells(board, "convnet6 best").values())
    full = cells(board, "convnet6 last")["Full", "all"].bar
    assert (full.length, full.low, full.high) == (99.0, None, None)
    assert "Bars: 0 to 100 %; line: 95 % interval of the mean." in board.legend


def test_bars_of_low_accuracies_fill_the_room(board):
    frame = as_frame([make_record("dit", top1_last=11.0), make_record("dm", top1_last=5.0)])
    table = make_page_table("leaderboard", build_reports(frame, ["leaderboard"])["leaderboard"])
    (means,) = scope_means(frame, "top1_last")
    shown = with_bars(with_places(table, ["convnet6"]), means, "top1_last")
    assert cells(shown, "convnet6 last")["Dit", "10"].bar.length == 55.0
    assert shown.legend.startswith("Bars: 0 to 20 %.")


def test_the_best_of_each_ipc_and_student_is_bold_and_full_data_never(board):
    for column in ("convnet6 last", "resnet_ap10 last", "convnet6 best"):
        found = {place for place, cell in cells(board, column).items() if cell.stress == "bold"}
        assert found == {("Dm", "10"), ("Dit", "50")}


def test_a_method_that_competes_with_none_is_not_bold():
    rows = [
        make_record("dit", ipc=10, top1_last=50.0),
        make_record("dm", ipc=50),
        make_record("dit", ipc=50, top1_last=60.0),
    ]
    frame = as_frame(rows)
    table = make_page_table("leaderboard", build_reports(frame, ["leaderboard"])["leaderboard"])
    (means,) = scope_means(frame, "top1_last")
    found = cells(with_bars(with_places(table, ["convnet6"]), means, "top1_last"), "convnet6 last")
    assert {place for place, cell in found.items() if cell.stress} == {("Dit", "50")}


def test_rows_know_their_ipc_and_columns_their_student(board):
    assert [column.student for column in board.columns] == ["", "", "", *["convnet6"] * 2, *["resnet_ap10"] * 2, "", ""]
    assert [ipc for ipc, _ in board.places] == ["10", "10", "50", "50", ""]


def test_rows_of_the_paper_table_know_their_student():
    frame = records()
    paper = make_page_table("paper", build_reports(frame, ["paper"])["paper"])
    placed = with_places(paper, all_students(frame))
    assert {student for _, student in placed.places} == {"convnet6", "resnet_ap10"}
    assert {column.student for column in placed.columns} == {""}


def test_a_student_is_known_by_its_readable_name_too():
    table = PageTable("t", "", "", (), [Column("ResNet-AP10 last", True), Column("n", True)], [], 0, 0, [])
    shown = with_places(table, ["resnet_ap10"])
    assert [column.student for column in shown.columns] == ["resnet_ap10", ""]
