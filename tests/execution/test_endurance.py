"""What happens to a run that is killed, shared or spread: the same records as an undisturbed one.

Slow: each test starts the command line in processes of its own, which train and which Ray starts more of.
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
from tests.helpers.started import finish, start
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
        assert Store(store).damage(kind, key) == ""


FEW = ("--methods", "random_real,minimax", "--ipc", "1", "--set", "minimax.checkpoint_every=3")
"""A plan of seconds with every kind of job but a teacher; its fit leaves checkpoints."""


def run_to_the_end(suite, store, name, *options):
    """Return the records of a run in a process of its own, and how long it took."""
    log = store / f"{name}.log"
    process = start(log, "run", "--suite", suite, "--store", store, "--name", name, *options)
    began = time.monotonic()
    assert finish(process) == 0, log.read_text()
    return comparable(name, store), time.monotonic() - began


@pytest.fixture(scope="module")
def undisturbed(tiny_suite, tmp_path_factory):
    """Records of one quiet run of all methods."""
    return run_to_the_end(tiny_suite, tmp_path_factory.mktemp("quiet"), "quiet", "--executor", "local")[0]


@pytest.fixture(scope="module")
def undisturbed_few(tiny_suite, tmp_path_factory):
    """Records of one quiet run of the small plan, and how long it took."""
    return run_to_the_end(tiny_suite, tmp_path_factory.mktemp("few"), "quiet", "--executor", "local", *FEW)


def test_killed_at_20_random_moments_and_resumed_it_ends_with_the_same_records(undisturbed_few, tiny_suite, tmp_path):
    """The processes begin with the imports done: every moment is one of the run's own."""
    expected, seconds = undisturbed_few
    moments = random.Random(20)
    command = ("run", "--suite", tiny_suite, "--executor", "local", "--store", tmp_path, *FEW)
    kills = 0
    while kills < 20:
        process = start(tmp_path / "log", *command)
        process.join(moments.uniform(0.05, seconds))
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
        else:
            # It got to its end between two kills: begin again from an empty store, the kills so far count.
            assert process.exitcode == 0, (tmp_path / "log").read_text()
            pd.testing.assert_frame_equal(comparable(None, tmp_path), expected)
            shutil.rmtree(tmp_path / "store")
    again, _ = run_to_the_end(tiny_suite, tmp_path, "last", "--executor", "local", *FEW)
    pd.testing.assert_frame_equal(again, expected)
    assert_whole(tmp_path)


def test_two_runs_on_one_store_at_once_do_not_disturb_each_other(undisturbed, tiny_suite, tmp_path):
    command = ("run", "--suite", tiny_suite, "--executor", "local", "--store", tmp_path, "--name")
    pair = [start(tmp_path / "log", *command, name) for name in ("one", "two")]
    for process in pair:
        assert finish(process) == 0, (tmp_path / "log").read_text()
    for name in ("one", "two"):
        pd.testing.assert_frame_equal(comparable(name, tmp_path), undisturbed)
    assert_whole(tmp_path)


def test_ray_gives_the_same_accuracies_as_this_process(undisturbed, tiny_suite, tmp_path):
    """Every method, on two workers: jobs run beside each other and in another order."""
    made, _ = run_to_the_end(tiny_suite, tmp_path, "ray", "--executor", "ray", "--workers", "2")
    pd.testing.assert_frame_equal(made, undisturbed)


def test_ray_with_one_worker_gives_the_same_accuracies(undisturbed_few, tiny_suite, tmp_path):
    made, _ = run_to_the_end(tiny_suite, tmp_path, "ray", "--executor", "ray", "--workers", "1", *FEW)
    pd.testing.assert_frame_equal(made, undisturbed_few[0])


def test_ray_keeps_the_row_of_a_worker_that_dies(tiny_suite, tmp_path):
    plugin = tmp_path / "dies.py"
    plugin.write_text(
        "import os\nfrom harness import Method, register_method\n\n@register_method('dies')\nclass Dies(Method):\n"
        "    title = 'Dies'\n    def synthesize(self, task, state, ipc):\n        os._exit(9)\n"
    )
    process = start(
        tmp_path / "log", "run", "--suite", tiny_suite, "--methods", "dies,random_real", "--plugin", plugin, "--ipc", "1",
        "--store", tmp_path / "s", "--name", "r",
    )  # fmt: skip
    assert finish(process) == 1
    rows = harness.load_results("r", tmp_path / "s").set_index("method")
    assert rows.loc["random_real", "status"] == "done"
    assert "the worker died" in rows.loc["dies", "error"]


def test_a_job_that_no_node_can_hold_is_refused_before_it_waits_for_ever(tiny_suite, tmp_path):
    suite = tmp_path / "hungry.yaml"
    text = tiny_suite.read_text().replace("memory_gb: 1.5", "memory_gb: 100000")
    assert "100000" in text
    suite.write_text(text)
    process = start(tmp_path / "log", "run", "--suite", suite, "--methods", "dit", "--store", tmp_path / "s")
    assert finish(process, timeout=120) == 2
    assert "asks for 1 CPUs, 0 GPUs and 100000.0 GB" in (tmp_path / "log").read_text()


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
