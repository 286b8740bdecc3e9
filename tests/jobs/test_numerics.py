"""What a plugin or a method leaves in torch's global switches changes no other job's numbers."""

import json
import subprocess
import sys

import pytest
import torch

from harness.core.plugin import discovery
from harness.core.store import Store
from harness.jobs import numerics

SWITCHES = """
import torch
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
torch.set_flush_denormal(True)
torch.use_deterministic_algorithms(True)
torch.set_float32_matmul_precision("medium")
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True
"""

PLUGIN = f"""{SWITCHES}
from harness import DistilledSet, Method, register_method

@register_method("switcher")
class Switcher(Method):
    def synthesize(self, task, state, ipc):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return DistilledSet({{c.id: task.real.images(c.id, range(ipc)) / 255.0 for c in task.classes}})
"""


@pytest.fixture(autouse=True)
def _as_before():
    yield
    numerics.set_defaults()


def switches():
    return (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        float(torch.full((64,), 1e-40, dtype=torch.float32).mul(1).sum()) != 0,
    )


def test_every_switch_is_set_back():
    numerics.set_defaults()
    clean = switches()
    exec(SWITCHES, {})
    assert all(a != b for a, b in zip(switches(), clean, strict=True)), "the plugin changes each"
    numerics.set_defaults()
    assert switches() == clean


def test_the_defaults_are_those_of_a_process_that_only_imported_torch():
    code = (
        "import json\nfrom tests.jobs.test_numerics import switches\nfrom harness.jobs import numerics\n"
        "before = switches(); numerics.set_defaults(); print(json.dumps([before == switches()]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300).stdout
    assert json.loads(out.splitlines()[-1]) == [True]


def test_a_row_beside_a_plugin_that_sets_switches_has_the_numbers_that_it_has_alone(tiny_suite, tmp_path, cli):
    """The plugin's module is imported in every process that works for the run."""
    plugin = tmp_path / "switcher.py"
    plugin.write_text(PLUGIN)
    common = ("run", "--suite", tiny_suite, "--methods", "random_real", "--ipc", "1", "--executor", "local")
    assert cli(*common, "--store", tmp_path / "alone", "--name", "r")[0] == 0
    assert cli(*common, "--store", tmp_path / "beside", "--name", "r", "--plugin", plugin)[0] == 0
    results = []
    for store in ("alone", "beside"):
        made = [m for m in Store(tmp_path / store).local_manifests(["train"]) if "random_real" in m["title"]]
        results.append([(m["key"], m["result"]["top1_last"], m["files"]["curves.csv"]["sha256"]) for m in made])
    assert results[0] == results[1]
    assert results[0]
    assert "switcher" in discovery.methods
