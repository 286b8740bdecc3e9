"""The files of published numbers are checked when they are read."""

import pytest

from harness.core.errors import UserError
from harness.reporters.published_numbers import load_published

HEAD = "suite,protocol,ipc,student,method,metric,mean,std,source\n"
ROW = 'imagewoof,idc,10,convnet6,dit,top1_best,34.2,1.1,"A paper, Table 1"\n'


def test_the_projects_own_numbers_are_sound_and_known_by_our_names():
    rows = load_published()
    assert len(rows) == 8 + 111 + 9
    assert sum(row.is_context for row in rows) == 9
    methods = {row.method for row in rows}
    assert "random_real" in methods
    assert "random" not in methods
    assert {row.student for row in rows if row.suite == "imagenet1k"} == {"resnet18_bn"}


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
