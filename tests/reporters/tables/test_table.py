"""Every table in every form: no NaN for people, right types for machines."""

import io
import json
import subprocess
import sys

import pandas as pd
import pytest
import rich.console

from harness.core.errors import UserError
from harness.reporters import Table, build_reports, register_reporter, reporters
from harness.reporters.tables.columns import word_column
from harness.reporters.tables.terminal import header


@pytest.fixture
def tables(run):
    return build_reports(run)


def terminal(table: Table, width: int | None = None) -> str:
    console = rich.console.Console(file=io.StringIO(), width=width or 400, force_terminal=False)
    console.print(table.to_rich(width))
    return console.file.getvalue()


def test_reports_are_named_for_their_files(run, record, frame):
    assert list(build_reports(run)) == ["leaderboard", "paper", "timing"]
    two = frame(record(), record(protocol="plain"))
    assert list(build_reports(two, ["paper", "timing"])) == ["paper", "paper_2", "timing"]


@pytest.mark.parametrize("layout", ["leaderboard", "paper", "timing", "statistics"])
def test_a_run_that_failed_before_any_student_has_its_tables_in_all_forms(record, frame, layout):
    rows = frame(record("a", status="failed", student="", error="boom"))
    (table,) = build_reports(rows, [layout]).values()
    for text in (table.to_markdown(), table.to_latex(), table.to_html(), table.to_csv(), terminal(table, 80)):
        assert text


def test_no_form_for_people_ever_prints_nan(tables):
    for table in tables.values():
        for text in (table.to_markdown(), terminal(table)):
            body = text.replace("loss is NaN", "").lower()
            assert "nan" not in body
            assert "<na>" not in body
            assert "none" not in body


def test_cells_are_literal_in_the_terminal_and_escaped_in_markdown(tables):
    assert "no module named [foo]" in terminal(tables["leaderboard"])
    assert "loss is NaN \\| see log" in tables["leaderboard"].to_markdown()
    widths = {
        line.replace("\\|", "").count("|") for line in tables["leaderboard"].to_markdown().splitlines() if "|" in line
    }
    assert len(widths) == 1


def test_csv_opens_with_the_right_types(tables):
    read = pd.read_csv(io.StringIO(tables["leaderboard"].to_csv()), dtype_backend="numpy_nullable")

    assert str(read["ipc"].dtype) == "Int64"
    assert str(read["convnet6_top1_best_mean_percent"].dtype) == "Float64"
    assert str(read["reference_row"].dtype) == "boolean"
    assert read["ipc"].isna().sum() == 1
    assert "nan" not in tables["timing"].to_csv().lower()


def test_json_is_a_list_of_records_with_null_for_unknown(tables):
    rows = json.loads(tables["timing"].to_json())

    assert rows[0]["total_wall_s"] == 65.0
    assert rows[0]["peak_device_bytes"] is None


def test_saving_writes_three_files(tables, tmp_path):
    paths = tables["paper"].save(tmp_path / "new", "paper")

    assert [p.name for p in paths] == ["paper.md", "paper.csv", "paper.json"]
    assert (
        paths[0].read_text(encoding="utf-8").startswith("### Paper table: imagewoof, protocol idc\n\nSuite imagewoof")
    )
    assert len(pd.read_csv(paths[1])) == len(tables["paper"].frame)


def test_no_rows_is_a_message():
    with pytest.raises(UserError, match="no records to report on"):
        build_reports(pd.DataFrame())


def test_an_unknown_reporter_is_a_message(run):
    with pytest.raises(UserError, match="Did you mean 'timing'"):
        build_reports(run, ["timming"])


def test_a_registered_reporter_joins_the_reports(run, monkeypatch):
    monkeypatch.setattr(reporters, "_items", dict(reporters._items))

    @register_reporter("mine")
    def mine(records: pd.DataFrame) -> list[Table]:
        return [Table("Mine", "", records[["method"]], (word_column("Method", "method"),))]

    assert list(build_reports(run))[-1] == "mine"
    assert build_reports(run, ["mine"])["mine"].display["Method"].tolist() == run["method"].tolist()


def test_a_plain_data_frame_is_a_table_too(run, monkeypatch):
    monkeypatch.setattr(reporters, "_items", dict(reporters._items))
    plain = pd.DataFrame({"name": ["a", None], "score": [0.123456, float("nan")], "n": [3, 1000], "ok": [True, False]})
    register_reporter("my_scores")(lambda records: plain)
    table = build_reports(run, ["my_scores"])["my_scores"]

    assert table.title == "My scores"
    assert table.display.values.tolist() == [["a", "0.1235", "3", "True"], ["—", "—", "1000", "False"]]
    assert [column.words for column in table.columns] == [True, False, False, True]
    for text in (table.to_markdown(), table.to_latex(), table.to_html(), terminal(table)):
        assert "0.1235" in text


def test_what_is_no_table_is_a_message(run, monkeypatch):
    monkeypatch.setattr(reporters, "_items", dict(reporters._items))
    register_reporter("wrong")(lambda records: ["text"])
    with pytest.raises(UserError, match="reporter 'wrong' returned str; expected tables or pandas data frames"):
        build_reports(run, ["wrong"])
    with pytest.raises(UserError, match="leave them out to show every column"):
        Table("T", "", run, run)


def test_reporters_import_no_torch():
    code = (
        "import sys; from harness.reporters import reporters as r; [*map(r.get, r)]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("A & B_c <x> 50%", "A & B_c \\<x> 50%"),
        ("**a** `b` ~c~ $d$ e\\f", "\\*\\*a\\*\\* \\`b\\` \\~c\\~ \\$d\\$ e\\\\f"),
        ("&lt; [a](b) _c_ d|e", "\\&lt; [a\\](b) \\_c\\_ d\\|e"),
        ("random_real [steps=25]\r\n", "random_real [steps=25]"),
    ],
)
def test_markdown_shows_a_text_as_it_is(text, escaped):
    frame = pd.DataFrame({"Method": [text]})
    table = Table(text, text, frame, notes=(text,))
    assert table.to_markdown().count(escaped) == 4


@pytest.mark.parametrize(
    ("column", "broken", "lines"),
    [
        ("Generator", True, ["Generator"]),
        ("Peak host", False, ["Peak", "host"]),
        ("A & B of C_d", False, ["A & B of", "C_d"]),
        ("resnet_ap10_cifar best", False, ["resnet_ap10_cifar", "best"]),
        ("resnet_ap10_cifar best", True, ["resnet_", "ap10_", "cifar", "best"]),
        ("IPC 10\nconvnet3", True, ["IPC 10", "convnet3"]),
        ("_x", True, ["_x"]),
    ],
)
def test_a_long_header_breaks_between_words_and_leaves_no_line_empty(column, broken, lines):
    assert header(column, broken=broken).split("\n") == lines


def test_a_text_that_a_spreadsheet_would_compute_stays_a_text():
    """A class or a method of somebody else's run may be called anything."""
    texts = ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2.5 to 1.0", "+1.5", "-", "minimax"]
    frame = pd.DataFrame({"what": texts, "number": [-1.5] * 7})
    table = Table(title="t", caption="", frame=frame)
    read = pd.read_csv(io.StringIO(table.to_csv()))
    assert read["what"].tolist() == ["'=1+1", "'@SUM(A1)", "'+cmd|' /C calc'!A0", *texts[3:]]
    assert read["number"].tolist() == [-1.5] * 7
