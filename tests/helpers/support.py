"""What several test files need beside fixtures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from harness.core.suites import families
from harness.testing.small import GENERATORS

ROOT = Path(__file__).parents[2]
TINY_PRIOR, TINY_TEXT_PRIOR = GENERATORS["class_conditional"], GENERATORS["text_to_image"]


def tiny_suite_values() -> dict:
    """The digits suite with a generator and trainings too small to be good, and quick."""
    values = yaml.safe_load((ROOT / "datasets" / "digits.yaml").read_text())
    values["name"] = "tiny"
    values["classes"] = str(ROOT / "datasets" / "classes" / "digits.txt")
    values["budget"] = {"ipc": [1, 2], "training_seeds": [0]}
    values["students"] = ["convnet3"]
    values["teacher"] |= {"epochs": 2, "min_share": 0.2}
    for kind, sizes in GENERATORS.items():
        values["generators"][kind]["train"] = sizes
    for protocol in values["protocol_overrides"].values():
        protocol["epochs"] = {"up_to": [[10, 2]], "above": 1}
        protocol["num_evaluations"] = 1
    values["method_overrides"]["minimax"] = {"flips": False, "epochs": 1, "batch": 64, "sampling_steps": 3}
    values["method_overrides"]["d3m"] |= {"steps": 3, "sampling_steps": 3}
    values["method_overrides"]["d4m"] |= {"sampling_steps": 4}
    values["method_overrides"]["rded"] = {"images_per_class": 20, "num_crops": 2}
    values["method_overrides"]["dm"] |= {"steps": 2, "batch": 8}
    for method in ("dc", "dsa"):
        values["method_overrides"][method] |= {"iterations": 1, "batch": 4}
    values["method_overrides"]["dit"] = {"sampling_steps": 3}
    values["method_overrides"]["mgd3"] = {"sampling_steps": 3}
    values["method_overrides"]["d3hr"] = {"sampling_steps": 5, "groups": 20}
    for name in ("sre2l", "cda"):
        values["method_overrides"][name] |= {"iterations": 2}
    values["method_overrides"]["cao2"] = {"sampling_steps": 3, "steps": 2, "candidates": 2}
    values["method_overrides"]["ims3"] = {"groups": 2}
    return values


def harness_process(*args: str | Path, **options: object) -> subprocess.Popen[str]:
    """Start `harness ARGS` in a process of its own."""
    env = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "harness.cli.app", *map(str, args)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    # A shell's background jobs ignore Ctrl-C, and so would a child of tests that run in one.
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    return subprocess.Popen(command, env=env, text=True, cwd=ROOT, preexec_fn=heed, **pipes)


def small_suite(name: str, folder: Path, **changes: object) -> Path:
    """Write a file that includes a suite of the project and makes its runs small; source and metrics stay the suite's."""
    few = {"epochs": {"up_to": [], "above": 1}, "num_evaluations": 1, "scale_epochs_at_100_classes": False}
    base = next(base for base, others in families().items() if name in (base, *others))
    values = {
        "include": f"{ROOT / 'datasets' / base}.yaml{'' if name == base else f':{name}'}",
        "budget": {"ipc": [1], "training_seeds": [0]},
        "students": ["convnet3"],
        "teacher": {"student": "convnet3", "epochs": 1, "min_share": 0},  # one epoch teaches it little
        "protocol_overrides": {"idc": few},
        "resources": {kind: {"cpus": 1} for kind in ("prior", "teacher", "fit", "synthesize", "train")},
        **changes,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path
