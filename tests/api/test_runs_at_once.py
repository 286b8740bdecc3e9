"""Runs that share a store at the same time do each job once, and all have every result."""

import json
import subprocess
import sys

import pytest

import harness
from tests.helpers.support import ROOT

RUNS = """
import json, os, sys
import torch
import harness, harness.jobs.distill, harness.jobs.train

asked = json.loads(sys.stdin.readline())
children = []
for name in asked.pop("names"):
    children.append(os.fork())
    if not children[-1]:
        harness.run(**asked, name=name)
        os._exit(0)
sys.exit(any(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""
PLUGIN = """
import os, time
import torch
from harness import DistilledSet, Method, register_method

@register_method("noted")
class Noted(Method):
    version = 1
    title = "Noted"
    reference = "none"

    def synthesize(self, task, state, ipc):
        with open(NOTES, "a") as notes:
            notes.write(f"{os.getpid()} {task.seed}\\n")
        time.sleep(0.5)
        return DistilledSet({c.id: torch.zeros(ipc, 3, 16, 16, dtype=torch.uint8) for c in task.classes})
"""


@pytest.mark.slow
def test_two_runs_at_once_do_each_job_once(tiny_suite, tmp_path):
    plugin, notes = tmp_path / "noted.py", tmp_path / "notes.txt"
    plugin.write_text(PLUGIN.replace("NOTES", repr(str(notes))))
    seeds = [0, 1, 2, 3]
    asked = {
        "suite": str(tiny_suite), "methods": ["noted"], "plugins": [str(plugin)], "ipc": [1], "distill_seeds": seeds,
        "executor": "local", "store": str(tmp_path / "store"), "names": ["a", "b"],
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUNS], input=json.dumps(asked), text=True, cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in notes.read_text().splitlines()]
    assert sorted(int(seed) for _, seed in lines) == seeds
    assert len({process for process, _ in lines}) == 2, "both had something to do"
    a, b = (harness.load_results(name, tmp_path / "store")["top1_last"].tolist() for name in "ab")
    assert a == b
    assert len(a) == len(seeds)
