"""What the command line takes and how it refuses: lists, ranges of seeds, names in another case, words too many."""

import io

import pytest

import harness
from harness.cli import consoles, options
from harness.core.errors import UserError, did_you_mean


def test_the_version_is_printed(cli):
    assert cli("--version") == (0, f"harness {harness.__version__}\n", "")


@pytest.mark.parametrize(
    ("text", "seeds"), [("0-4", (0, 1, 2, 3, 4)), ("0-2,7", (0, 1, 2, 7)), ("3", (3,)), ("1, 5 - 6", (1, 5, 6))]
)
def test_seeds_may_be_a_range(text, seeds):
    assert options.seeds(text, "--seeds") == seeds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("4-0", "not a range"),
        ("a", "--seeds 0-4"),
        ("-1", "the minimum is 0"),
        ("0-99999", "not a range"),
        ("1-2-3", "integer"),
    ],
)
def test_seeds_that_are_none_are_a_message_with_an_example_of_seeds(text, told):
    with pytest.raises(UserError, match=told):
        options.seeds(text, "--seeds")


def test_one_large_seed_is_told_to_be_one(capsys):
    options.seeds("5", "--seeds")
    assert "for 5 seeds write --seeds 0-4" in capsys.readouterr().err
    options.seeds("0,5", "--seeds")
    options.seeds("1", "--seeds")
    assert not capsys.readouterr().err


def test_a_name_in_another_case_is_suggested():
    assert did_you_mean("RANDOM_REAL", ["herding", "random_real"]) == " Did you mean 'random_real'?"
    assert did_you_mean("alpha", ["ALPHA"]) == " Did you mean 'ALPHA'?"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "--methods", "dm", "dsa", "dc"], "with commas: --methods dm,dsa,dc."),
        (["run", "--foo"], "`harness run --help`"),
        (["report", "--layout"], "`harness report --help`"),
    ],
)
def test_what_the_parser_refuses_is_one_message_like_all_others(cli, words, told):
    code, out, err = cli(*words)
    assert (code, out, err.count("\n"), err.startswith("error: ")) == (2, "", 1, True)
    assert told in err


@pytest.mark.parametrize(("columns", "width"), [("100", 100), ("", consoles.PIPE), ("x", consoles.PIPE)])
def test_pipes_and_files_have_one_width_for_all_commands(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert consoles.stdout().width == consoles.width() == width


def test_a_student_is_taken_apart_with_the_suites_that_train_it(cli):
    code, out, _ = cli("show", "student", "resnet_ap10_bn")
    assert code == 0
    for told in ("average pooling", "depth    10", "batch norm", "64 to 512", "--students resnet_ap10_bn"):
        assert told in out
    assert cli("show", "student", "resnt10")[0] == 2


def test_a_page_of_several_runs_and_figures_without_a_folder_are_refused(cli, tmp_path):
    for words, told in (
        (("--html",), "add --to FILE.html"),
        (("--figures",), "--to FOLDER"),
        (("--to", tmp_path), "--figures"),
    ):
        code, out, err = cli("report", "a", "b", *words)
        assert (code, out) == (2, "")
        assert told in err
