"""Shared by the tests: a digits suite whose jobs take a second or two, and the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TINY_PRIOR = {
    "vae_channels": [8, 8],
    "vae_steps": 10,
    "hidden_size": 32,
    "depth": 2,
    "num_heads": 2,
    "patch_size": 2,
    "dit_steps": 10,
}
TINY_TEXT_PRIOR = {
    "vae_channels": [8, 8],
    "vae_steps": 10,
    "text_width": 16,
    "text_depth": 1,
    "unet_channels": [16],
    "unet_steps": 5,
    "unet_batch": 8,
}


def tiny_suite_values() -> dict:
    """The digits suite with a generator and trainings too small to be good, and quick."""
    values = yaml.safe_load((ROOT / "datasets" / "digits.yaml").read_text())
    values["name"] = "tiny"
    values["classes"] = str(ROOT / "datasets" / "classes" / "digits.txt")
    values["budget"] = {"ipc": [1, 2], "training_seeds": [0]}
    values["students"] = ["convnet3"]
    values["teacher"] |= {"epochs": 2, "min_share": 0.2}
    values["generators"]["class_conditional"]["train"] = TINY_PRIOR
    values["generators"]["text_to_image"]["train"] = TINY_TEXT_PRIOR
    for protocol in values["protocol_overrides"].values():
        protocol["epochs"] = {"up_to": [[10, 2]], "above": 1}
        protocol["num_evaluations"] = 1
    values["method_overrides"]["minimax"] = {"flips": False, "epochs": 1, "batch": 64, "sampling_steps": 3}
    values["method_overrides"]["d3m"] |= {"steps": 3, "sampling_steps": 3}
    values["method_overrides"]["dit"] = {"sampling_steps": 3}
    return values


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory) -> Path:
    """The YAML file of the tiny suite."""
    path = tmp_path_factory.mktemp("suite") / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_suite_values(), sort_keys=False))
    return path


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory) -> Path:
    """A store that tests may fill together: equal jobs run once for all of them."""
    return tmp_path_factory.mktemp("store")


def harness_process(*args: str | Path, **options: object) -> subprocess.Popen[str]:
    """Start `harness ARGS` in a process of its own."""
    env = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "harness.cli", *map(str, args)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, env=env, text=True, cwd=ROOT, **pipes)


@pytest.fixture(autouse=True)
def _forget_plugins():
    """Methods that a test registers are gone after it."""
    from harness import discovery

    discovery.discover()
    items, modules = dict(discovery.methods._items), set(sys.modules)
    yield
    discovery.methods._items.clear()
    discovery.methods._items.update(items)
    for name in set(sys.modules) - modules:
        if name.startswith("harness_plugin_"):
            del sys.modules[name]


@pytest.fixture
def cli():
    """Run `harness ARGS` to its end; return (exit code, standard output, standard error)."""

    def call(*args: str | Path, timeout: float = 300) -> tuple[int, str, str]:
        process = harness_process(*args)
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err

    return call
