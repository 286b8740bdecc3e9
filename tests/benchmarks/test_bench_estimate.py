"""What `--dry-run` expects of a run that was never made, beside what the run then takes: CPU seconds, one job at a time.

Run by `make bench`, a minute or two. Within a factor of 1.5 on a quiet machine and on a busy one: both are CPU time.
"""

from collections import defaultdict

import pytest

import harness
from harness.api.run import prepare
from harness.core.store import Store
from harness.planning.estimate import estimate
from harness.planning.request import make_request

REQUEST = {
    "suite": "digits",
    "methods": ["random_real", "herding", "rded", "dm"],
    "ipc": [10],
    "students": ["convnet3"],
    "protocol": "plain",
    "distill_seeds": [0],
    "seeds": [0, 1],
    "executor": "local",
    "settings": {"dm.steps": 40},
}


def cpu_seconds(store):
    """Return what each kind of job and method or student took."""
    took = defaultdict(float)
    for manifest in Store(store).local_manifests(("teacher", "synthesize", "train")):
        kind, spec = manifest["kind"], manifest["spec"]
        took[kind, spec["method"] if kind == "synthesize" else kind] += manifest["measured"]["cpu_s"]
    return took


@pytest.mark.benchmark(group="estimate and truth")
def test_the_estimate_beside_what_the_run_takes(benchmark, tmp_path):
    request = make_request(**REQUEST, store=str(tmp_path))
    lines = benchmark.pedantic(lambda: estimate(*prepare(request)), rounds=1)
    harness.run(**REQUEST, store=tmp_path)
    took, expected = cpu_seconds(tmp_path), defaultdict(float)
    for line in lines:
        owner = line.what.split(",")[0] if line.stage == "synthesize" else line.stage
        expected[line.stage, owner] += line.device_s or 0.0
    for which, seconds in sorted(took.items()):
        if seconds > 1:
            print(f"\n{' '.join(which)}: expected {expected[which]:.1f} s, took {seconds:.1f} s")
            benchmark.extra_info[" ".join(which)] = expected[which] / seconds
            assert 1 / 1.5 < expected[which] / seconds < 1.5, which
    total = sum(expected[which] for which in took) / sum(took.values())
    benchmark.extra_info["total"] = total
    assert 1 / 1.5 < total < 1.5
