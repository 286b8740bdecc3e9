"""What happens to a run that is killed, shared or spread: the same records as an undisturbed one.

Slow: each test starts the command line in processes of its own, which import torch.
"""

import json
import random
import shutil
import signal
import time

import pandas as pd
import pytest

import harness
from harness.core.store import Store
from tests.helpers.support import harness_process

pytestmark = pytest.mark.slow

TIMES = ["run", "cached", "image_folder", "load_s", "energy_j", "peak_host_bytes", "peak_device_bytes"]


def comparable(run, store):
    """The records of a run without times, memory and paths."""
    rows = harness.load_results(run, store)
    return rows.drop(columns=[c for c in rows.columns if c in TIMES or c.endswith(("wall_s", "device_s"))])


def assert_whole(store):
    """Every artefact holds the bytes that its manifest says."""
    for manifest in (store / "store").glob("*/*/manifest.json"):
        kind, key = manifest.parent.parent.name, manifest.parent.name
        assert Store(store).damaged_files(kind, key) == []


@pytest.fixture(scope="module")
def undisturbed(tiny_suite, tmp_path_factory):
    """Records of one quiet run of all methods, and how long it took."""
    store = tmp_path_factory.mktemp("quiet")
    start = time.monotonic()
    process = harness_process("run", "--suite", tiny_suite, "--executor", "local", "--store", store, "--name", "quiet")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return comparable("quiet", store), time.monotonic() - start


def test_killed_at_20_random_moments_and_resumed_it_ends_with_the_same_records(undisturbed, tiny_suite, tmp_path):
    expected, seconds = undisturbed
    moments = random.Random(20)
    command = ("run", "--suite", tiny_suite, "--executor", "local", "--store", tmp_path)
    kills = 0
    while kills < 20:
        process = harness_process(*command)
        try:
            process.communicate(timeout=moments.uniform(0.5, seconds))
        except Exception:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
        else:
            # It got to its end between two kills: begin again from an empty store, the kills so far count.
            assert process.returncode == 0
            pd.testing.assert_frame_equal(comparable(None, tmp_path), expected)
            shutil.rmtree(tmp_path / "store")
    process = harness_process(*command, "--name", "last")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    pd.testing.assert_frame_equal(comparable("last", tmp_path), expected)
    assert_whole(tmp_path)


def test_two_runs_on_one_store_at_once_do_not_disturb_each_other(undisturbed, tiny_suite, tmp_path):
    command = ("run", "--suite", tiny_suite, "--executor", "local", "--store", tmp_path, "--name")
    pair = [harness_process(*command, name) for name in ("one", "two")]
    for process in pair:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    for name in ("one", "two"):
        pd.testing.assert_frame_equal(comparable(name, tmp_path), undisturbed[0])
    assert_whole(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_ray_gives_the_same_accuracies_as_this_process(undisturbed, tiny_suite, tmp_path, workers):
    process = harness_process(
        "run", "--suite", tiny_suite, "--executor", "ray", "--workers", workers, "--store", tmp_path, "--name", "ray"
    )
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    pd.testing.assert_frame_equal(comparable("ray", tmp_path), undisturbed[0])


def test_ray_keeps_the_row_of_a_worker_that_dies(tiny_suite, tmp_path):
    plugin = tmp_path / "dies.py"
    plugin.write_text(
        "import os\nfrom harness import Method, register_method\n\n@register_method('dies')\nclass Dies(Method):\n"
        "    title = 'Dies'\n    def synthesize(self, task, state, ipc):\n        os._exit(9)\n"
    )
    process = harness_process(
        "run", "--suite", tiny_suite, "--methods", "dies,random_real", "--plugin", plugin, "--ipc", "1",
        "--store", tmp_path / "s", "--name", "r",
    )  # fmt: skip
    process.communicate(timeout=300)
    rows = harness.load_results("r", tmp_path / "s").set_index("method")
    assert process.returncode == 1
    assert rows.loc["random_real", "status"] == "done"
    assert "the worker died" in rows.loc["dies", "error"]


def test_a_job_that_no_node_can_hold_is_refused_before_it_waits_for_ever(tiny_suite, tmp_path):
    suite = tmp_path / "hungry.yaml"
    text = tiny_suite.read_text().replace("memory_gb: 1.5", "memory_gb: 100000")
    assert "100000" in text
    suite.write_text(text)
    process = harness_process("run", "--suite", suite, "--methods", "dit", "--store", tmp_path / "s")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "asks for 1 CPUs, 0 GPUs and 100000.0 GB" in err


def test_an_interrupt_keeps_what_was_finished_and_says_how_to_go_on(tiny_suite, tmp_path):
    process = harness_process("run", "--suite", tiny_suite, "--executor", "local", "--store", tmp_path, "--name", "cut")
    while not list((tmp_path / "store").glob("*/*/manifest.json")):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from there" in err
    assert json.loads((tmp_path / "runs" / "cut" / "run.json").read_text())["status"] == "interrupted"
    assert "interrupted" in set(harness.load_results("cut", tmp_path)["status"])
