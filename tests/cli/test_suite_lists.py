"""`harness list suites` has a line for each family of suites; `harness doctor` says each missing thing once."""

import sys

import pytest

from harness.cli.app import main
from harness.core.suites import families, suite_names


@pytest.fixture
def narrow(monkeypatch, capsys):
    """Run a command in a terminal of 100 columns; return its lines."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["harness", *args])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().out.splitlines()

    return call


def test_a_family_is_one_line_of_100_characters(narrow):
    lines = narrow("list", "suites")
    assert max(map(len, lines)) <= 100
    head, *rows = lines
    assert head.split() == ["suite", "classes", "train", "size", "data", "weights", "what"]
    names = [row.split()[0] for row in rows]
    assert [name for name in names if name in suite_names()] == list(families())
    (family,) = (row for row in rows if row.startswith("cifar10_lt "))
    assert "[_if10 _if20 _if50 _if100 _if200]" in family
    (digits,) = (row for row in rows if row.startswith("digits"))
    assert digits.split()[:7] == ["digits", "10", "1,257", "16", "px", "here", "trained"]
    assert all(name in names for name in ("all", "cifar10_lt_all", "remote_sensing"))


def test_show_suite_knows_a_variant_and_its_images(cli):
    code, out, _ = cli("show", "suite", "cifar10_lt_if50")
    assert code == 0
    assert "cifar10_lt_if50 (version 2): CIFAR-10-LT, imbalance factor 50, 5,000 to 100 images per class" in out
    assert "13,996 train, 10,000 test" in out


def test_doctor_says_each_missing_thing_once_with_all_that_need_it(cli, tmp_path):
    code, out, _ = cli("doctor", "--all", "--data-root", tmp_path, "--store", tmp_path)
    assert code == 0
    missing = out.split("suites: missing\n")[1]
    for thing, suites in (
        ("cifar-10-batches-py does not exist", "cifar10_lt [_if10 _if20 _if50 _if100 _if200]"),
        (f"folder {tmp_path}/imagenet1k does not exist", "imagenet1k imagenet100 imagenette imagewoof"),
        ("facebook/DiT-XL-2-256", "imagenet1k imagenet100 imagenette imagewoof"),
        ("stable-diffusion-v1-5: not on this machine", "imagenet1k imagenet100 imagenette imagewoof"),
    ):
        joined = " ".join(missing.split())
        assert joined.count(thing) == 1, thing
        told = joined.split(thing)[1].split(" -- ")[0].replace(",", "")
        assert all(name in told.split(" for: ")[1].split() for name in suites.split()), thing
    assert "harness data fetch" in missing


@pytest.mark.parametrize("width", [80, 100, 160])
def test_doctor_names_what_can_run_and_a_command_for_the_rest_on_one_screen(narrow, monkeypatch, tmp_path, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = narrow("doctor", "--data-root", str(tmp_path), "--store", str(tmp_path))
    assert len(lines) <= 40
    assert max(map(len, lines)) <= width
    assert " suites can run here: digits" in lines[0]
    commands = [line.split("  for ")[0].strip() for line in lines if line.strip().startswith("harness data")]
    assert {"harness data fetch cifar10", "harness data fetch mnist", "harness data check imagenet1k"} <= set(commands)
    assert len(commands) == len(set(commands))


def test_doctor_tells_a_suite_file_that_is_wrong_and_goes_on(cli, tmp_path, monkeypatch):
    from harness.core import suites

    own = tmp_path / "datasets"
    (own / "classes").mkdir(parents=True)
    real = suites.data_folder("datasets")
    (own / "digits.yaml").write_text((real / "digits.yaml").read_text())
    (own / "classes" / "digits.txt").write_text((real / "classes" / "digits.txt").read_text())
    (own / "wrong.yaml").write_text("name: wrong\n")
    monkeypatch.setattr(suites, "data_folder", lambda name: own)
    assert "wrong.yaml, line 1" in cli("doctor", "--data-root", tmp_path, "--store", tmp_path)[1]
    code, out, _ = cli("doctor", "--all", "--data-root", tmp_path, "--store", tmp_path)
    assert code == 0
    here, missing = out.split("suites: missing\n")
    assert "scikit-learn digits" in here
    assert "wrong.yaml, line 1: field 'version' is missing" in missing
