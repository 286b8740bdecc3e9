"""The commands that look and explain: quick, without torch, and true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import harness
from harness.cli.show_protocol import value_text
from harness.core.plugin import discovery
from harness.training.protocols import protocols


def test_help_and_lists_import_no_torch():
    """torch alone takes longer than the 0.8 s that these commands may take."""
    commands = (
        ["--help"],
        ["list", "methods"],
        ["list", "suites"],
        ["list", "students"],
        ["show", "suite", "digits"],
        ["data", "fetch", "--help"],
        ["data", "fetch", "imagenet1k"],
    )
    code = f"""
import sys, contextlib, io
from harness.cli import main
for arguments in {commands!r}:
    sys.argv = ["harness", *arguments]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
    if "torch" in sys.modules or "pandas" in sys.modules:
        sys.exit(f"harness {{' '.join(arguments)}} imports torch or pandas")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_every_method_is_listed_with_its_title(cli):
    code, out, _ = cli("list", "methods")
    assert code == 0
    discovery.discover()
    for name in discovery.methods.names():
        assert name in out


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("suites", ["digits", "imagewoof", "imagenette", "imagenet100", "imagenet1k"]),
        ("students", ["convnet", "resnet_ap", "timm:"]),
        ("protocols", ["idc", "plain"]),
    ],
)
def test_lists_show_what_there_is(cli, what, told):
    code, out, _ = cli("list", what)
    assert code == 0
    assert all(word in out for word in told)


def test_show_method_prints_every_option_with_its_default(cli):
    code, out, _ = cli("show", "method", "minimax")
    assert code == 0
    for field in discovery.methods.get("minimax").Config.model_fields:
        assert f"--set minimax.{field}" in out
    assert "Gu et al." in out
    assert "0.008" in out


def test_show_suite_prints_what_it_changes_beside_the_default(cli):
    code, out, _ = cli("show", "suite", "digits")
    assert code == 0
    flip = next(line for line in out.splitlines() if line.startswith("flip"))
    assert flip.split() == ["flip", "false", "true"]


def changed_fields(out, title):
    """Return field -> (suite, default) of one table of `harness show suite`."""
    table = out.split(f"{title}: what this suite changes\n")[1].split("\n\n")[0].splitlines()[1:]
    return {line.split()[0]: tuple(re.split(r"\s{2,}", line.strip())[1:]) for line in table}


def test_show_suite_compares_a_protocol_with_its_own_defaults(cli):
    """Those of rded are not those of idc."""
    _, out, _ = cli("show", "suite", "digits")
    rded = protocols.get("rded")
    for field, (_, default) in changed_fields(out, "protocol rded").items():
        assert default == value_text(getattr(rded, field)), field


def test_show_suite_leaves_out_what_it_sets_to_the_default(cli, tiny_suite, tmp_path):
    path = tmp_path / "same.yaml"
    path.write_text(yaml.safe_dump(
        {"include": str(tiny_suite), "protocol_overrides": {"rded": {"batch_size": 7, "temperature": 20.0}},
         "method_overrides": {"minimax": {"group_size": 10, "sampling_steps": 3}}}
    ))  # fmt: skip
    _, out, _ = cli("show", "suite", path)
    assert "temperature" not in changed_fields(out, "protocol rded")
    assert changed_fields(out, "protocol rded")["batch_size"] == ("7", str(protocols.get("rded").batch_size))
    assert "group_size" not in changed_fields(out, "method minimax")
    assert changed_fields(out, "method minimax")["sampling_steps"] == ("3", "50")


def test_show_method_prints_no_docstring_of_a_base_class(cli, tmp_path):
    plugin = tmp_path / "bare.py"
    plugin.write_text("from methods.random_real import RandomReal\nfrom harness import register_method\n\n\n"
                      "@register_method('bare')\nclass Bare(RandomReal):\n    title = 'Bare'\n")  # fmt: skip
    _, out, _ = cli("show", "method", "bare", "--plugin", plugin)
    for base in discovery.methods.get("bare").__mro__[1:-1]:
        assert not base.__doc__ or base.__doc__.split("\n")[0] not in out, base


@pytest.mark.parametrize("dry", [True, False])
def test_a_setting_of_a_method_that_is_not_in_the_run_is_told(dry, cli, tiny_suite, shared_store):
    words = [
        "--suite",
        tiny_suite,
        "--methods",
        "random_real",
        "--ipc",
        "1",
        "--store",
        shared_store,
        "--executor",
        "local",
    ]
    settings = ["--set", "minimax.epochs=3", "--set", "protocol.lr=0.02"]
    code, out, err = cli("run", *words, *settings, *(["--dry-run"] if dry else []))
    assert code == 0, err
    told = "--set minimax.epochs has no effect: method minimax is not part of this run"
    assert (out + err).count(told) == 1
    assert (out + err).count("has no effect") == 1


def test_unknown_things_to_show_or_list_suggest_the_closest(cli):
    for arguments, told in (
        (["show", "method", "minmax"], "Did you mean 'minimax'"),
        (["list", "method"], "Did you mean 'methods'"),
        (["show", "metod", "x"], "Known: method, suite, student, protocol, run, job, log"),
        (["report", "nothing"], "no run 'nothing'"),
    ):
        code, _, err = cli(*arguments)
        assert code == 2
        assert told in err


def test_doctor_says_what_can_run_here(cli, tmp_path):
    code, out, _ = cli("doctor", "--data-root", tmp_path, "--store", tmp_path)
    assert code == 0
    for word in (
        "torch",
        "ray",
        "cpu",
        "digits",
        "imagewoof",
        "facebook/DiT-XL-2-256",
        f"{len(discovery.methods.names())} can be imported",
    ):
        assert word in out
    assert "timm:resnet18.tv_in1k" in cli("doctor", "--all", "--data-root", tmp_path, "--store", tmp_path)[1]


def test_a_dry_run_shows_the_jobs_and_writes_nothing(cli, tiny_suite, tmp_path):
    words = ("run", "--suite", tiny_suite, "--store", tmp_path / "s", "--methods", "minimax", "--dry-run")
    code, out, _ = cli(*words)
    assert code == 0
    totals, *rest = out.splitlines()
    assert totals.endswith("0 in the store, 5 to run")
    assert not any("fit minimax seed 0" in line for line in rest)
    assert any(line.split()[1:] == ["fit", "minimax", "seed", "0"] for line in cli(*words, "--verbose")[1].splitlines())
    assert "nothing was run or written" in out
    assert not (tmp_path / "s").exists()


def test_a_run_prints_the_leaderboard_and_writes_its_page_and_report_does_it_again(cli, tiny_suite, tmp_path):
    code, out, err = cli(
        "run", "--suite", tiny_suite, "--methods", "random_real", "--executor", "local",
        "--store", tmp_path, "--name", "first",
    )  # fmt: skip
    assert code == 0, err
    assert "Random real" in out
    assert "2/3 done: train random_real" in err
    page = tmp_path / "runs" / "first" / "index.html"
    assert f"page     {page}" in out
    assert "8x8" in page.read_text(encoding="utf-8")
    page.unlink()
    again = cli("report", "--html", "--store", tmp_path)
    assert page.is_file()
    listed = cli("list", "runs", "--store", tmp_path)
    assert again[1] == out
    assert "first" in listed[1]
    _check_report_for_a_paper(cli, tmp_path)


def _check_report_for_a_paper(cli, store):
    """What is shaped for a paper is printed only: the run's own tables stay as they are."""
    table = store / "runs" / "first" / "tables" / "paper.md"
    before = table.read_text(encoding="utf-8")
    options = ["--store", store, "--layout", "paper", "--metric", "last", "--rename", "random_real=Ours & co"]
    code, out, _ = cli("report", *options, "--format", "latex", "--caption", "none")
    assert code == 0
    assert r"{Ours\\\& co} \\" in out
    assert "caption{" not in out
    assert cli("report", *options)[0] == 0
    assert table.read_text(encoding="utf-8") == before
    for wrong, told in (
        (["--methods", "random"], "Did you mean 'random_real'?"),
        (["--metric", "last"], "--layout paper"),
        (["--rename", "random_real=a", "--html"], "leave out --html"),
    ):
        code, out, err = cli("report", "--store", store, *wrong)
        assert (code, out) == (2, "")
        assert told in err


def test_a_failing_plugin_exits_with_1_and_says_why(cli, tiny_suite, tmp_path):
    plugin = tmp_path / "p.py"
    plugin.write_text(
        "from harness import Method, register_method\n\n@register_method('bad')\nclass Bad(Method):\n"
        "    title = 'Bad'\n    def synthesize(self, task, state, ipc):\n        raise RuntimeError('no luck')\n"
    )
    code, out, err = cli(
        "run", "--suite", tiny_suite, "--methods", "bad", "--plugin", plugin, "--executor", "local", "--store", tmp_path
    )
    assert code == 1
    assert f"RuntimeError: no luck ({plugin}:7)" in err
    traceback, *_ = [line.split("traceback: ")[1] for line in err.splitlines() if "traceback: " in line]
    assert "no luck" in Path(traceback).read_text()
    assert "failed" in out
    assert "images/" not in out, "it made none"


@pytest.mark.slow
def test_a_new_method_runs_on_digits_with_its_test(cli, tmp_path):
    code, out, _ = cli("new", "method", "my_blend", "--to", tmp_path)
    assert code == 0
    assert "--plugin" in out
    lines = (tmp_path / "my_blend.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 25
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_my_blend.py")],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "1 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize(
    ("name", "told"), [("minimax", "already exists"), ("My-Method", "lower-case Python identifier")]
)
def test_a_new_method_needs_a_name_of_its_own(cli, tmp_path, name, told):
    code, _, err = cli("new", "method", name, "--to", tmp_path)
    assert code == 2
    assert told in err
    assert not list(tmp_path.iterdir())


def test_new_never_overwrites(cli, tmp_path):
    (tmp_path / "mine.py").write_text("precious")
    code, _, err = cli("new", "method", "mine", "--to", tmp_path)
    assert code == 2
    assert "already exists" in err
    assert (tmp_path / "mine.py").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_public_names_are_all_there():
    assert all(getattr(harness, name) is not None for name in harness.__all__)
