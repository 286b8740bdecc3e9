"""Tables for a paper: methods chosen, renamed and ordered; captions; the accuracy shown."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from harness.cli.report_choice import read_caption, read_choice
from harness.core.errors import UserError
from harness.reporters import Table, build_reports
from harness.reporters.tables.choice import Choice
from harness.reporters.tables.columns import mean_column, word_column
from harness.reporters.tables.latex import PAGE, _look


def shown(run, choice, name="paper"):
    return build_reports(run, [name], choice=choice)[name]


def test_methods_are_chosen_renamed_and_ordered(run):
    choice = Choice(("dit", "half", "minimax", "full"), {"half": "Ours"}, ("half", "minimax"))
    assert shown(run, choice).names == ["IPC", "Test model", "Ours", "MINIMAX", "DIT", "FULL"]
    board = shown(run, choice, "leaderboard")
    assert set(board.display["Method"]) == {"Ours", "MINIMAX", "DIT", "FULL"}
    assert set(board.frame["method"]) == {"half", "minimax", "dit", "full"}, "files keep the registered names"


def test_only_what_is_chosen_is_tested_and_bold(run):
    run.loc[run["method"] == "dit", "top1_best"] -= 20
    run = run[run["method"].isin(["dit", "minimax", "full"]) | (run["method"] == "half") & (run["training_seed"] != 2)]
    run = pd.concat([run, run[run["method"] == "dit"].assign(method="rded", method_title="RDED")])
    assert {name for _, name in shown(run, Choice()).bold} == {"MINIMAX"}
    assert {name for _, name in shown(run, Choice(("dit", "rded"))).bold} == {"DIT", "RDED"}
    alone = shown(run, Choice(("dit", "half")))
    assert alone.names == ["IPC", "Test model", "DIT", "HALF"]
    assert "MINIMAX" not in alone.to_latex("full") + "".join(alone.all_notes())


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(("dti",)), r"--methods: no method 'dti' in this run. Did you mean 'dit'\?"),
        (Choice((), {"minmax": "x"}), "--rename: no method 'minmax'.*'minimax'"),
        (Choice((), {}, ("fulll",)), "--order: no method 'fulll'.*'full'"),
        (Choice(("dit",), {}, ("half",)), "--order: method 'half' is not among --methods dit"),
        (Choice((), {"dit": "HALF"}), "--rename: 'HALF' is the name of another method"),
        (Choice((), {"dit": ""}), "or empty"),
    ],
)
def test_a_choice_that_does_not_fit_the_run_is_a_message(run, choice, message):
    with pytest.raises(UserError, match=message):
        shown(run, choice)


def test_the_paper_table_shows_best_unless_told_otherwise_and_says_which(run):
    best, last = (build_reports(run, ["paper"], metric=metric)["paper"] for metric in ("best", "last"))
    assert "best evaluation during training" in best.brief
    assert "final model" in last.brief
    assert (best.display.loc[0, "MINIMAX"], last.display.loc[0, "MINIMAX"]) == ("38.0 ± 1.0", "37.0 ± 1.0")
    with pytest.raises(UserError, match="use 'last'"):
        build_reports(run, ["paper"], metric="first")


def test_captions_are_one_sentence_whole_or_none(run):
    table = build_reports(run, ["paper"])["paper"]
    short, full, none = (table.to_latex(caption) for caption in ("short", "full", "none"))
    assert r"\caption{Top-1 test accuracy in percent on imagewoof (protocol idc), best" in short
    assert short.count("Bonferroni-corrected") == 1, "the whole caption stands above, as a comment"
    assert "Bonferroni-corrected" in short.splitlines()[1]
    assert r"\caption[Paper table" in full
    assert "multiple comparisons with the best" in full.split(r"\caption", 1)[1]
    assert r"\caption" not in none
    assert r"\label" not in none


@pytest.mark.parametrize("name", ["leaderboard", "paper", "timing", "statistics", "comparisons"])
def test_each_short_caption_is_one_sentence_with_suite(run, name):
    brief = build_reports(run, [name])[name].brief
    assert "imagewoof" in brief
    assert brief.endswith(".")
    assert ". " not in brief


def test_no_error_text_is_in_a_paper_and_its_note_is_short(run):
    text = build_reports(run, ["paper"])["paper"].to_latex()
    assert "loss is NaN" not in text
    assert r"$^\dagger$ failed; reasons: harness report" in text


def test_a_wide_table_spans_the_page_and_a_wider_one_is_stacked():
    def table(num: int) -> Table:
        frame = pd.DataFrame({"m": ["A", "B"], **{f"x{i}": [12.3, 45.6] for i in range(num)}, "s": [1.0, 2.0]})
        return Table(
            "T", "c", frame, (word_column("Method", "m"), *(mean_column(f"x{i}", f"x{i}", "s") for i in range(num)))
        )

    assert [_look(table(num)).environment for num in (2, 4, 6, 20)] == ["table", "table", "table*", "table*"]
    text = table(20).to_latex()
    parts = _look(table(20)).stacked
    assert len(parts) > 1
    assert sorted(i for part in parts for i in part if i) == list(range(1, 21))
    assert all(part[0] == 0 for part in parts), "each part names its rows"
    assert text.count(r"\begin{tabular}") == len(parts)
    assert "scriptsize" not in text.replace(r"{\scriptsize$\,\pm", "")
    assert PAGE > 400


@pytest.mark.parametrize(
    ("methods", "rename", "order", "layout", "message"),
    [
        ("dm,,dit", None, None, "paper", "--methods 'dm,,dit': expected different methods"),
        ("dm,dm", None, None, "paper", "expected different methods"),
        (None, ["Ours"], None, "paper", 'expected METHOD="Name"'),
        (None, ["a=b", "a=c"], None, "paper", "names a twice"),
        (None, None, "dm", "leaderboard", "--order is for --layout paper"),
        ("dm", None, None, "published", "do not apply to --layout published"),
    ],
)
def test_options_that_cannot_be_read_are_messages(methods, rename, order, layout, message):
    with pytest.raises(UserError, match=message):
        read_choice(methods, rename, order, layout=layout)


def test_options_as_they_are_typed():
    found = read_choice("a, b", ["a= Ours = best"], "b", layout="paper")
    assert (found.methods, found.rename, found.order) == (("a", "b"), {"a": "Ours = best"}, ("b",))
    assert not read_choice(None, None, None, layout=None)


@pytest.mark.parametrize(("text", "form", "message"), [("shrot", "latex", "'short'"), ("full", None, "--format latex")])
def test_a_caption_that_cannot_be_is_a_message(text, form, message):
    with pytest.raises(UserError, match=message):
        read_caption(text, form)


def test_the_command_line_knows_the_options():
    from harness.cli.app import app

    text = CliRunner().invoke(app, ["report", "--help"], env={"COLUMNS": "200"}).stdout
    for option in ("--methods", "--rename", "--order", "--metric", "--caption"):
        assert option in text
