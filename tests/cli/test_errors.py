"""What a user gets wrong is one clear message and exit code 2, before the store is touched."""

import os
from pathlib import Path

import pytest
import yaml

from harness.core.errors import UserError, did_you_mean
from harness.core.run_folder import RunFolder
from harness.data.decode import read_files

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
    "ipc word": (["--ipc", "ten"], "--ipc 'ten': 'ten' is not an integer"),
    "seed": (["--seeds", "-3"], "--seeds '-3': -3 is too small"),
    "plugin": (["--plugin", "nowhere.py"], "plugin nowhere.py: no such file or folder"),
    "timm student": (["--students", "timm:resnett18"], "resnet18"),
    "student too deep": (["--students", "convnet9"], "convnet9"),
    "a second method": (["--methods", "all,nonsense"], "unknown method 'nonsense'"),
    "no method": (["--methods", ","], "methods: the list is empty"),
    "setting of a method not run": (["--methods", "dit", "--set", "minimax.nonsense=1"], "unknown field 'nonsense'"),
    "infinite setting": (["--set", "protocol.lr=.inf"], "lr"),
    "yes for a number": (["--set", "minimax.epochs=yes"], "expected a value, not a boolean"),
    "workers": (["--workers", "2"], "--workers need --executor ray"),
    "long name": (["--name", "a" * 300], "at most 100"),
    "name": (["--name", "a/b"], "--name 'a/b'"),
    "name in a dry run": (["--name", "first/../x", "--dry-run"], "--name 'first/../x'"),
    "a setting twice": (
        ["--set", "protocol.lr=0.1", "--set", "protocol.lr=0.2"],
        "--set protocol.lr is given twice: 0.1 and 0.2",
    ),
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


BREAKS = """
import torch
from harness import DistilledSet, Method, register_method

@register_method("breaks")
class Breaks(Method):
    def group_size(self):
        raise KeyError("no such\\n size")

    def synthesize(self, task, state, ipc):
        return DistilledSet({})
"""


def test_a_method_that_fails_while_it_is_planned_fails_alone(cli, tiny_suite, tmp_path):
    plugin = tmp_path / "breaks.py"
    plugin.write_text(BREAKS)
    options = ("--suite", tiny_suite, "--methods", "random_real", "--plugin", plugin, "--ipc", "1", "--dry-run")
    code, out, err = cli("run", *options, "--store", tmp_path)
    assert (code, err) == (0, "")
    assert "breaks" in out
    assert "group_size() failed: KeyError: 'no such\\n size'" in " ".join(out.split())
    assert "train" in out, "the other method is planned"


def test_a_broken_image_whose_name_is_not_utf_8_is_named_and_the_run_leaves_its_files(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad-\xff.jpg"))
    path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"bad-\\udcff\.jpg: not an image of a known format"):
        read_files([path], size=8, crop="resize")
    RunFolder(tmp_path / "run").write_error("train a", f"Traceback of {path}", "")
    assert r"bad-\udcff.jpg" in (tmp_path / "run" / "errors" / "train_a.txt").read_text()
