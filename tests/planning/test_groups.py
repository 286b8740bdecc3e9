"""Groups of suites: one run folder per suite, one summary, the worst exit code, and no suite lost."""

import pytest
import yaml
from rich.console import Console

from harness.api import groups as run_groups
from harness.core.errors import UserError
from harness.core.suites import suite_names
from harness.planning import groups
from harness.planning.request import make_request


@pytest.fixture
def two(tiny_suite, tmp_path):
    """The tiny suite and one like it whose data are not here, as names with a comma."""
    values = yaml.safe_load(tiny_suite.read_text()) | {
        "name": "absent",
        "source": {"kind": "image_folder", "root": "no"},
    }
    other = tmp_path / "absent.yaml"
    other.write_text(yaml.safe_dump(values))
    return f"{tiny_suite},{other}"


def ask(suite, store, **fields):
    request = make_request(suite=suite, store=store, executor="local", methods=["random_real"], ipc=[1], **fields)
    return request, groups.members(suite)


def test_a_group_is_all_or_a_file_or_names_with_commas(tiny_suite):
    assert groups.members("all") == tuple(suite_names())
    assert groups.members("remote_sensing") == ("aid", "ucm", "nwpu")
    assert groups.members("digits, remote_sensing,aid") == ("digits", "aid", "ucm", "nwpu")
    assert [groups.members(one) for one in ("digits", "nonsense", str(tiny_suite))] == [None] * 3


@pytest.mark.parametrize("name", ["all", "remote_sensing", "aid,ucm"])
def test_a_folder_of_a_groups_name_does_not_hide_the_group(name, tmp_path, monkeypatch):
    wanted = groups.members(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert groups.members(name) == wanted


def test_a_suite_file_with_a_comma_in_its_name_is_one_suite(tmp_path):
    file = tmp_path / "a,b.yaml"
    file.write_text("")
    assert groups.members(str(file)) is None


def test_every_group_names_suites_that_exist():
    for name, group in groups.load_groups().items():
        assert set(group.suites) <= set(suite_names()), name


def test_a_suite_that_cannot_run_keeps_its_line_and_the_others_run(two, tmp_path):
    request, suites = ask(two, tmp_path / "store", name="mine")
    ready = run_groups.prepare_group(request, suites)
    told = []
    group = run_groups.run_group("two", ready, Console(quiet=True), told.append)
    done, absent = group.suites
    assert (done.exit_code, absent.exit_code, group.exit_code) == (0, 2, 2)
    assert [run.folder for run in told] == [done.run.folder]
    assert done.run.name == "mine-tiny"
    assert "does not exist" in absent.error


def test_a_request_that_fits_no_suite_is_refused_before_anything_is_written(two, tmp_path):
    request, suites = ask(two, tmp_path / "store", students=["convnet9"])
    with pytest.raises(UserError, match="convnet9"):
        run_groups.prepare_group(request, suites)
    assert not (tmp_path / "store").exists()


def test_the_command_line_ends_with_one_summary_and_the_worst_exit_code(cli, two, tmp_path):
    arguments = ["run", "--suite", two, "--methods", "random_real", "--ipc", "1", "--executor", "local"]
    code, out, _ = cli(*arguments, "--store", tmp_path / "store")
    assert code == 2
    summary = out[out.index("Summary: ") :]
    assert "not run" in summary
    assert "does not exist" in summary
    assert len(list((tmp_path / "store" / "runs").iterdir())) == 1
    code, out, _ = cli(*arguments, "--store", tmp_path / "none", "--dry-run")
    assert code == 2
    assert "cannot run: source 'image_folder'" in out
    assert not (tmp_path / "none").exists()


def test_a_group_file_that_is_wrong_is_named(tmp_path, monkeypatch):
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups" / "mine.yaml").write_text("title: mine\nsuite: [a]\n")
    monkeypatch.setattr(groups, "data_folder", lambda _: tmp_path)
    with pytest.raises(UserError, match=r"mine\.yaml: unknown field 'suite'\. Did you mean 'suites'"):
        groups.load_groups()
