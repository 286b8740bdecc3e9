"""A run on a validation part never opens the test split and says what it measured; its request.yaml repeats it."""

import pytest
import yaml

import harness
from harness.core.errors import UserError
from harness.data.sources.digits import Digits

TINY = {"methods": "random_real", "ipc": 1, "executor": "local"}


@pytest.fixture
def only_train(monkeypatch):
    """Digits whose test split cannot be opened."""
    split = Digits.split

    def refuse(self, name):
        assert name == "train", "the test split was opened"
        return split(self, name)

    monkeypatch.setattr(Digits, "split", refuse)


def test_a_run_on_a_validation_part_opens_no_test_split_and_is_repeated_by_its_file(
    only_train, cli, tiny_suite, tmp_path
):
    store = tmp_path / "store"
    code, out, err = cli(
        "run", "--suite", tiny_suite, "--methods", "random_real", "--ipc", "1", "--executor", "local", "--store", store,
        "--validation", "0.25", "--name", "first",
    )  # fmt: skip
    assert code == 0, err
    assert "Top-1 validation accuracy in % of the final model" in " ".join(out.split())
    captions = " ".join(cli("report", "first", "--store", store, "--captions")[1].split())
    assert "validation: 315 of its training images" in captions
    assert "test accuracy" not in captions
    folder = store / "runs" / "first"
    request = yaml.safe_load((folder / "request.yaml").read_text())
    assert request["validation"] == 0.25
    assert "name" not in request
    assert "--validation 0.25" in (folder / "index.html").read_text()
    code, _, err = cli("run", "--config", folder / "request.yaml", "--name", "again")
    assert code == 0, err
    first, again = (harness.load_results(name, store).drop(columns=["run", "cached"]) for name in ("first", "again"))
    assert again.equals(first)
    assert harness.load_results("again", store)["cached"].all()


def test_a_flag_beside_the_file_wins(cli, tmp_path, tiny_suite):
    file = tmp_path / "request.yaml"
    file.write_text(yaml.safe_dump({**TINY, "suite": str(tiny_suite), "store": str(tmp_path / "a")}))
    code, out, err = cli("run", "--config", file, "--methods", "herding", "--dry-run", "--verbose")
    assert code == 0, err
    assert "synthesize herding ipc 1" in out
    assert "random_real" not in out
    assert not (tmp_path / "a").exists()


def test_a_plugin_that_a_request_names_is_loaded_by_a_run_of_it_only(cli, tmp_path, tiny_suite):
    plugin, file = tmp_path / "mine.py", tmp_path / "request.yaml"
    plugin.write_text("import pathlib\npathlib.Path(__file__).with_name('loaded').touch()\n")
    file.write_text(yaml.safe_dump({**TINY, "suite": str(tiny_suite), "plugins": [str(plugin)]}))
    cli("run", "--config", file, "--ipc", "x")
    assert not (tmp_path / "loaded").exists()
    cli("run", "--config", file, "--dry-run")
    assert (tmp_path / "loaded").exists()


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.999, "leaves no images of class 8 in one of the splits: 0.999 of its 122 training images is all"),
        (0.0001, "leaves no images of class 8"),
        (0, "validation"),
        (1.5, "validation"),
    ],
)
def test_a_share_that_leaves_a_class_empty_is_one_message(cli, tmp_path, tiny_suite, share, said):
    code, out, err = cli(
        "run", "--suite", tiny_suite, "--store", tmp_path / "s", "--executor", "local", "--validation", share
    )
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "s").exists()


def test_python_takes_a_file_too(tmp_path, tiny_suite):
    file = tmp_path / "request.yaml"
    file.write_text(yaml.safe_dump({**TINY, "suite": str(tiny_suite), "nonsense": 1}))
    with pytest.raises(UserError, match="unknown field 'nonsense'"):
        harness.run(config=file, store=tmp_path / "s")
