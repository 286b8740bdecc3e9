"""Several runs in one table: only what is comparable, and the refusal says what is not."""

import json

import pytest

import harness
from harness.core.errors import UserError
from tests.helpers import made_run

ROW = {
    "suite": "imagewoof", "suite_version": 1, "source": "folder x", "method_version": 1, "reference_row": False,
    "ipc": 10, "student": "convnet6", "protocol": "idc", "protocol_version": 1, "distillation_seed": 0,
    "status": "done", "top1_best": 30.0, "top1_last": 29.0,
}  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    """Return a function that writes the folder of a finished run."""

    def make(name, method="dit", seeds=(0, 1), code="abc", **changes):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        about = {
            "name": name, "source": "folder x", "data_fingerprint": "f1", "classes": ["a", "b"],
            "suite": {"name": "imagewoof", "version": 1, "image_size": 256, "budget": {"ipc": [len(name)]}},
            "protocol": {"name": "idc", "version": 1, "lr": 0.01},
            "methods": {method: {"config": {"steps": 5}, "code": code}},
        }  # fmt: skip
        for place, value in changes.items():
            *parents, last = place.split("__")
            inner = about
            for parent in parents:
                inner = inner[parent]
            inner[last] = value
        (folder / "run.json").write_text(json.dumps(about))
        rows = [
            ROW | {"run": name, "method": method, "method_title": method.upper(), "training_seed": s} for s in seeds
        ]
        (folder / "records.json").write_text(json.dumps(rows))
        return folder

    return make


def test_runs_that_agree_give_one_table_and_a_run_given_twice_counts_once(make_run):
    a, b = make_run("a"), make_run("bb", method="minimax", seeds=(0, 1, 2))
    (paper,) = harness.report([a, b, a], layout="paper").values()

    assert paper.display.columns.tolist() == ["IPC", "Test model", "DIT", "MINIMAX"]
    assert paper.frame["num_runs"].tolist() == [2, 3]


def test_a_run_of_before_a_field_had_its_default(make_run):
    """A new field with a default changes no key, so it must not keep equal work out of a table either."""
    old, new = make_run("old"), make_run("new", method="minimax", protocol__flip=True, suite__student_image_size=None)
    (paper,) = harness.report([old, new], layout="paper").values()
    assert len(paper.frame) == 2
    with pytest.raises(UserError, match=r"protocol.flip: True in old, False in other"):
        harness.report([old, make_run("other", method="minimax", protocol__flip=False)], layout="paper")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"suite__version": 2}, "suite version: 1 in a, 2 in b"),
        ({"suite__image_size": 64}, "suite.image_size: 256 in a, 64 in b"),
        ({"source": "folder y"}, "source: folder x in a, folder y in b"),
        ({"data_fingerprint": "f2"}, r"data \(fingerprint\): f1 in a, f2 in b"),
        ({"classes": ["b", "a"]}, "classes: "),
        ({"protocol__name": "rded"}, "protocol.name: idc in a, rded in b"),
        ({"protocol__lr": 0.02}, "protocol.lr: 0.01 in a, 0.02 in b"),
        ({"code": "xyz"}, "code of dit: abc in a, xyz in b"),
    ],
)
def test_a_difference_is_refused_by_name_with_both_values(make_run, changes, told):
    with pytest.raises(UserError, match=told) as refusal:
        harness.report([make_run("a"), make_run("b", **changes)])
    assert len(str(refusal.value).splitlines()) == 2


def test_methods_of_other_settings_or_of_one_run_only_do_not_matter(make_run):
    other = {"methods": {"dit": {"config": {"steps": 9}, "code": "xyz"}, "new": {"config": {}, "code": "n"}}}
    assert harness.report([make_run("a"), make_run("b", **other)], layout="paper")


def test_a_damaged_run_is_a_message(make_run):
    a, b = make_run("a"), make_run("b")
    (b / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json: cannot be read"):
        harness.report([a, b])


def test_the_command_prints_a_format_and_nothing_else(make_run, cli):
    a, b = make_run("a"), make_run("b", method="minimax")
    code, out, err = cli("report", a, b, "--layout", "paper", "--format", "latex")
    assert (code, err) == (0, "")
    assert out.startswith("% needs")
    assert out.endswith("\\end{table}\n")
    assert not (a / "tables").exists()


def test_the_command_adds_published_numbers_and_keeps_them(make_run, cli):
    a = make_run("a")
    code, out, _ = cli("report", a, "--layout", "paper", "--published")
    assert code == 0
    assert "Published beside measured: imagewoof" in out
    assert (a / "tables" / "published.csv").is_file()


def test_the_page_shows_published_numbers_where_they_are_asked_for(tmp_path, cli):
    a = made_run.make_run(tmp_path / "a", [made_run.make_record(training_seed=seed) for seed in range(2)])
    for asked in (True, False):
        code, _, err = cli("report", a, "--html", *(["--published"] if asked else []))
        assert code == 0, err
        assert ("Published beside measured" in (a / "index.html").read_text()) == asked


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--layout", "papr"], "unknown layout 'papr'. Did you mean 'paper'"),
        (["--format", "pdf"], "unknown format 'pdf'"),
        (["--format", "csv"], "--layout leaderboard"),
        (["--layout", "scores"], "has no data for this table"),
        (["--bars", "std"], "add --figures"),
        (["--metric", "last"], "add --figures"),
    ],
)
def test_a_mistake_at_the_command_is_a_message_and_writes_nothing(make_run, cli, arguments, told):
    a = make_run("a")
    code, out, err = cli("report", a, *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert not (a / "tables").exists()
