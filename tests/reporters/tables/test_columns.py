"""Cells: what people read, and the number behind it that sorts."""

import math

import pandas as pd
import pytest

from harness.core.text import byte_size, duration, interval, points
from harness.reporters import Table, build_reports
from harness.reporters.page.tables import make_page_table
from harness.reporters.tables.columns import (
    Cell,
    Column,
    first,
    ipc_column,
    mean_column,
    mean_spread,
    runs_column,
    status_column,
    student_column,
    word_column,
)


@pytest.mark.parametrize(
    ("mean", "std", "text", "number"),
    [
        (37.04, 0.96, "37.0 ± 1.0", 37.04),
        (37.04, float("nan"), "37.0", 37.04),
        (float("nan"), 1.0, "—", None),
        (None, None, "—", None),
        (pd.NA, pd.NA, "—", None),
    ],
)
def test_a_mean_with_its_spread(mean, std, text, number):
    made = mean_spread(mean, std)
    assert (made.text(), made.number) == (text, number)


@pytest.mark.parametrize(
    ("column", "values", "text", "number"),
    [
        (Column("a", "a", duration), [3725.4], "1h 02m", 3725.4),
        (Column("a", "a", byte_size), [4301], "4.2 KiB", 4301),
        (Column("a", ("low", "high"), interval), [36.14, 38.0], "36.1 to 38.0", 36.14),
        (Column("a", "a", points), [-0.34], "−0.3", -0.34),
        (ipc_column("full"), [10, False], "10", 10),
        (ipc_column("full"), [pd.NA, True], "all", None),
        (ipc_column(), [pd.NA], "—", None),
        (runs_column(["a", "b"]), [0, 3], "0–3", 0),
        (runs_column(["a", "b"]), [3, 3], "3", 3),
        (word_column("a", "a"), [""], "—", None),
        (status_column(), ["done", ""], "done", None),
        (status_column(), ["failed", "out of memory"], "failed: out of memory", None),
    ],
)
def test_a_cell_sorts_by_the_number_of_the_frame_and_never_by_its_text(column, values, text, number):
    made = column.cell(*values)
    assert (made.text(), made.number) == (text, number)


def test_each_format_shows_as_much_of_a_reason_as_it_has_room_for():
    frame = pd.DataFrame({"m": ["A"], "status": ["failed"], "error": ["RuntimeError: " + "why " * 40]})
    table = Table(
        "T", "c", frame, (word_column("Method", "m"), status_column()), failures=(("A: failed", "why " * 40),)
    )
    whole, tail = "why " * 39 + "why", "…"
    assert whole in table.to_html()
    assert whole in table.to_csv()
    assert whole in make_page_table("t", table).rows[0][1].text
    assert whole in make_page_table("t", table).notes[0]
    assert tail in table.to_markdown()
    assert whole not in table.to_markdown()
    assert "why" not in table.to_latex()
    assert "A & failed" in table.to_latex()


def test_columns_pick_rows_of_the_frame_and_several_numbers_share_a_cell():
    frame = pd.DataFrame({"m": ["A", "A", "B"], "x": [1.0, 2.0, 3.0], "s": [0.1, math.nan, 0.3]})
    names = list(frame["m"])
    columns = (
        word_column("Method", "m", rows=[first(names, "A"), first(names, "B"), first(names, "C")]),
        mean_column("x", "x", "s", rows=[(0, 1), (2,), ()]),
    )
    assert Table("T", "", frame, columns).display.values.tolist() == [
        ["A", "1.0 ± 0.1; 2.0"],
        ["B", "3.0 ± 0.3"],
        ["—", "—"],
    ]


def test_students_have_the_names_of_papers_in_latex_and_their_own_elsewhere():
    assert student_column(pd.DataFrame({"student": ["resnet_ap10"]})).cell("resnet_ap10") == Cell(
        "resnet_ap10", paper="ResNetAP-10"
    )


def test_every_number_that_the_page_sorts_by_is_one_of_the_frame(run):
    for table in build_reports(run).values():
        known = set(
            pd.to_numeric(pd.Series(table.frame.select_dtypes("number").to_numpy(dtype=float).ravel())).dropna()
        )
        keys = {cell.key for row in make_page_table("t", table).rows for cell in row if cell.key is not None}
        assert keys
        assert keys <= known
