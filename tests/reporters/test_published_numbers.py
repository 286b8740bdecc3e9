"""The files of published numbers are checked when they are read."""

import pytest

from harness.core.errors import UserError
from harness.reporters.published_numbers import load_published
from harness.reporters.tables.prepare import METRICS
from harness.students import parse
from harness.training import protocols

HEAD = "suite,protocol,ipc,student,method,metric,mean,std,source\n"
ROW = 'imagewoof,idc,10,convnet6,dit,top1_best,34.2,1.1,"A paper, Table 1"\n'


def test_the_projects_own_numbers_are_sound_and_known_by_our_names():
    rows = load_published()
    assert len(rows) == 8 + 111 + 5 + 844 + 11
    assert sum(row.is_context for row in rows) == 4 + 4 + 11
    assert sum(row.is_second_hand for row in rows) == 4 + 11
    methods = {row.method for row in rows}
    assert "random_real" in methods
    assert "random" not in methods
    known = {"minimax", "dit", "rded", "dm", "herding", "k_center", "mgd3", "sre2l", "cda", "d4m", "dc", "dsa"}
    assert known <= methods
    for student in {row.student for row in rows if row.student}:
        parse(student)
    assert "resnet18" not in {row.student for row in rows if row.suite == "imagenet1k"}
    nette = {(row.protocol, row.student) for row in rows if row.suite == "imagenette"}
    assert {("idc", "resnet_ap10"), ("rded", "resnet18_bn")} <= nette


def test_long_tail_rows_of_the_results_page_stand_where_their_paper_shows_them():
    """The page names no protocol; RLDD, Table 1, has the same numbers under the protocol of the long-tail papers."""
    found = {
        (row.suite, row.mean, row.std)
        for row in load_published()
        if (row.protocol, row.ipc, row.student, row.method) == ("ltdd", 50, "convnet3", "minimax")
    }
    assert found == {
        ("cifar10_lt_if10", 39.9, 0.1),
        ("cifar10_lt_if50", 25.2, 0.2),
        ("cifar10_lt_if100", 28.0, 0.6),
        ("cifar10_lt_if200", 22.7, None),
    }


def test_rows_of_the_classic_long_tail_and_decoupled_papers_have_protocols_of_this_harness():
    """By the name of the protocol that their authors evaluate with, and of the student and metric that a record has."""
    rows = [row for row in load_published() if not row.is_context]
    methods = {
        name: {row.method for row in rows if row.protocol == name and row.metric in METRICS}
        for name in ("dc", "dsa", "ltdd", "sre2l")
    }
    assert set(methods) <= set(protocols.names())
    assert methods["dc"] == {"dc"}
    assert methods["dsa"] == {"dsa", "dm"}
    assert {"random_real", "k_center", "dc", "minimax", "rded"} <= methods["ltdd"]
    assert {"random_real", "sre2l", "cda", "d4m"} <= methods["sre2l"]
    assert {row.student for row in rows if row.protocol in ("dc", "dsa", "ltdd")} == {"convnet3"}
    assert {row.metric for row in rows if row.protocol in ("dc", "dsa")} == {"top1_last"}, "final accuracy"
    assert not [row for row in rows if (row.protocol, row.suite) == ("plain", "imagenet1k")], "another recipe"


def test_several_published_values_of_one_cell_are_all_kept():
    cell = ("imagenette", "idc", 10, "resnet_ap10", "minimax")
    rows = [r for r in load_published() if (r.suite, r.protocol, r.ipc, r.student, r.method) == cell]
    assert sorted(row.mean for row in rows) == [57.7, 62.0]
    assert len({row.source for row in rows}) == 2


def test_empty_fields_are_unstated(tmp_path):
    (tmp_path / "a.csv").write_text(HEAD + "aid,unstated,,,minimax,overall_accuracy,48.96,,page\n")
    (row,) = load_published(tmp_path)
    assert (row.ipc, row.student, row.std, row.is_context) == (None, None, None, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD.replace("mean", "average") + ROW, "line 1: expected the columns suite,protocol"),
        ("", "line 1: expected the columns"),
        (HEAD + ROW + ROW.replace("34.2", "much"), "line 3: field 'mean'"),
        (HEAD + ROW.replace("34.2", "134.2"), "line 2: field 'mean'.*134.2"),
        (HEAD + ROW.replace("34.2", "nan"), "line 2: field 'mean'"),
        (HEAD + ROW.replace(",10,", ",ten,"), "line 2: field 'ipc'"),
        (HEAD + ROW.replace('"A paper, Table 1"', ""), "line 2: field 'source'"),
        (HEAD + ROW.replace('"', ""), "line 2: expected 9 fields; quote"),
        (HEAD + "imagewoof,idc\n", "line 2: expected 9 fields"),
        (HEAD + 'a,"b', "cannot be read as CSV"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path, text, told):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=rf"a\.csv(, |: )?{told}"):
        load_published(tmp_path)


def test_a_mistake_among_the_names_is_told(tmp_path):
    (tmp_path / "names.yaml").write_text("method: {a: b}")
    with pytest.raises(UserError, match=r"unknown field 'method'\. Did you mean 'methods'"):
        load_published(tmp_path)
    (tmp_path / "names.yaml").write_text("methods: [")
    with pytest.raises(UserError, match=r"names\.yaml: cannot be read as YAML"):
        load_published(tmp_path)
