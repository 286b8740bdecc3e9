"""What a user gets wrong is one clear message and exit code 2, before the store is touched."""

import pytest
import yaml

from harness.core.errors import did_you_mean

BAD_REQUESTS = {
    "method": (["--methods", "minmax"], "unknown method 'minmax'. Did you mean 'minimax'?"),
    "suite": (["--suite", "digit"], "unknown suite 'digit'. Did you mean 'digits'?"),
    "student": (["--students", "convnett3"], "unknown student 'convnett3'"),
    "protocol": (["--protocol", "ibc"], "unknown protocol 'ibc'. Did you mean 'idc'?"),
    "executor": (["--executor", "rey"], "unknown executor 'rey'. Did you mean 'ray'?"),
    "setting target": (["--set", "minmax.epochs=3"], "unknown target 'minmax'. Did you mean 'minimax'?"),
    "setting field": (["--set", "minimax.epoch=3"], "unknown field 'epoch'"),
    "setting value": (["--set", "minimax.epochs=many"], "field 'epochs'"),
    "protocol field": (["--set", "protocol.lrr=3"], "lrr"),
    "ipc zero": (["--ipc", "0"], "--ipc '0': 0 is too small"),
    "ipc negative": (["--ipc", "-1"], "--ipc '-1': -1 is too small"),
    "ipc word": (["--ipc", "ten"], "--ipc 'ten': 'ten' is no whole number"),
    "seed": (["--seeds", "-3"], "--seeds '-3': -3 is too small"),
    "plugin": (["--plugin", "nowhere.py"], "plugin nowhere.py: cannot be read"),
    "timm student": (["--students", "timm:resnett18"], "resnet18"),
    "student too deep": (["--students", "convnet9"], "convnet9"),
    "a second method": (["--methods", "all,nonsense"], "unknown method 'nonsense'"),
    "no method": (["--methods", ","], "methods: the list is empty"),
    "setting of a method not run": (["--methods", "dit", "--set", "minimax.nonsense=1"], "unknown field 'nonsense'"),
    "infinite setting": (["--set", "protocol.lr=.inf"], "lr"),
    "yes for a number": (["--set", "minimax.epochs=yes"], "expected a value, not yes or no"),
    "workers": (["--workers", "2"], "--workers belong to --executor ray"),
    "long name": (["--name", "a" * 300], "at most 100"),
    "name": (["--name", "a/b"], "--name 'a/b'"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_wrong_request_gives_one_message_exit_code_2_and_an_untouched_store(case, cli, tmp_path):
    arguments, told = BAD_REQUESTS[case]
    store = tmp_path / "results"
    code, out, err = cli("run", "--store", store, "--executor", "local", *arguments)
    assert code == 2, err
    assert told in err
    assert "Traceback" not in err
    assert out == ""
    assert not list(store.glob("store/*"))
    assert not list(store.glob("runs/*"))


def test_a_plugin_with_a_syntax_error_is_told_with_its_line(cli, tmp_path):
    plugin = tmp_path / "p.py"
    plugin.write_text("import harness\n\ndef broken(:\n")
    code, _, err = cli("run", "--store", tmp_path / "s", "--plugin", plugin)
    assert code == 2
    assert "line 3" in err
    assert not (tmp_path / "s").exists()


def test_a_malformed_suite_is_told_with_its_line(cli, tmp_path, tiny_suite):
    bad = tmp_path / "bad.yaml"
    bad.write_text(tiny_suite.read_text().replace("image_size: 16", "image_sise: 16"))
    line = bad.read_text().splitlines().index("image_sise: 16") + 1
    code, _, err = cli("run", "--suite", bad, "--store", tmp_path / "s")
    assert code == 2
    assert f"bad.yaml, line {line}: unknown field 'image_sise'" in err
    assert not (tmp_path / "s").exists()


def test_a_missing_data_folder_is_named_and_the_store_untouched(cli, tmp_path, tiny_suite):
    values = yaml.safe_load(tiny_suite.read_text())
    values["source"] = {"kind": "image_folder", "root": "imagenet1k"}
    suite = tmp_path / "folder.yaml"
    suite.write_text(yaml.safe_dump(values))
    code, _, err = cli("run", "--suite", suite, "--data-root", tmp_path / "nowhere", "--store", tmp_path / "s")
    assert code == 2
    assert "imagenet1k" in err
    assert str(tmp_path / "nowhere") in err.replace("\n", "")
    assert not (tmp_path / "s").exists()


def test_a_store_that_cannot_be_written_is_refused(cli, tmp_path, tiny_suite):
    (tmp_path / "file").write_text("no folder")
    code, _, err = cli("run", "--suite", tiny_suite, "--store", tmp_path / "file" / "s", "--executor", "local")
    assert code == 2
    assert "cannot be written" in err
    assert "--store" in err


def test_an_unknown_option_or_command_teaches(cli_process):
    code, _, err = cli_process("run", "--metods", "all")
    assert code == 2
    assert "--methods" in err
    code, _, err = cli_process("rnu")
    assert code == 2
    assert "rnu" in err


def test_the_closest_name_is_suggested_and_a_far_one_is_not():
    assert did_you_mean("minmax", ["minimax", "dit"]) == " Did you mean 'minimax'?"
    assert did_you_mean("zzz", ["minimax", "dit"]) == ""
