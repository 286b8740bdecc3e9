"""What happens to a run that is killed, shared or spread: the same records as an undisturbed one.

Slow: each test starts the command line in processes of its own, which train and which Ray starts more of.
"""

import json
import os
import random
import re
import shutil
import signal
import time
import uuid

import pandas as pd
import pytest

import harness
from harness.core.store import Store
from harness.execution.ray.losses import KILLED
from harness.jobs.job import KINDS
from tests.helpers.raylets import MARK, gone, marked
from tests.helpers.started import finish, start

pytestmark = pytest.mark.slow

TIMES = [
    "run", "cached", "image_folder", "host", "attempts", "lost_to", "lost_s", "distill_lost_s", "load_s", "energy_j",
    "peak_host_bytes", "peak_device_bytes",
]  # fmt: skip


WORKING = tuple(f"ray::{name}" for name in (*KINDS, "ProgressBoard"))
"""How the command lines of workers begin that do something, and that of the board."""


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


@pytest.mark.drill
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


@pytest.mark.drill  # of every method; tests/api/test_runs_at_once.py is the short one
def test_two_runs_on_one_store_at_once_do_not_disturb_each_other(undisturbed, tiny_suite, tmp_path):
    command = ("run", "--suite", tiny_suite, "--executor", "local", "--store", tmp_path, "--name")
    pair = [start(tmp_path / "log", *command, name) for name in ("one", "two")]
    for process in pair:
        assert finish(process) == 0, (tmp_path / "log").read_text()
    for name in ("one", "two"):
        pd.testing.assert_frame_equal(comparable(name, tmp_path), undisturbed)
    assert_whole(tmp_path)


@pytest.mark.drill
def test_ray_gives_the_same_accuracies_as_this_process_though_workers_are_killed(undisturbed, tiny_suite, tmp_path):
    """Every method, on two workers: jobs run beside each other and in another order, and some of them twice."""
    moments, mark = random.Random(2), uuid.uuid4().hex
    words = ("run", "--suite", tiny_suite, "--store", tmp_path, "--name", "ray", "--workers", "2", "--retries", "9")
    process = start(tmp_path / "log", *words, env={MARK: mark})
    kills, until = 0, time.monotonic() + 600
    while process.exitcode is None and time.monotonic() < until:
        process.join(moments.uniform(1, 3))
        working = [pid for pid, command in marked(mark) if command.startswith(WORKING)]
        if kills < 6 and working and (tmp_path / "log").read_text().count(" done: ") >= 4 * kills:
            os.kill(moments.choice(working), signal.SIGKILL)
            kills += 1
    text = (tmp_path / "log").read_text()
    assert finish(process, timeout=1) == 0, text
    assert gone(mark)
    pd.testing.assert_frame_equal(comparable("ray", tmp_path), undisturbed)
    losses = json.loads((tmp_path / "runs" / "ray" / "run.json").read_text())["losses"]
    assert 1 <= len(losses) <= kills, "a job may end while its worker is chosen; a kill of the board is no loss"
    assert {loss["reason"] for loss in losses} == {KILLED}
    done = re.findall(r" done: ([^:\n]+?)(?:, about .*)?$", text, re.M)
    assert sorted(done) == sorted(set(done)), "nothing was done twice"


def test_ray_with_one_worker_gives_the_same_accuracies(tiny_suite, tmp_path):
    """Of methods without a generator: the drills above and below have every method."""
    made = []
    for executor in (("local",), ("ray", "--workers", "1")):
        store = tmp_path / executor[0]
        store.mkdir()
        few = ("--methods", "random_real,dm", "--set", "dm.steps=3", "--ipc", "1", "--students", "convnet3")
        made.append(run_to_the_end(tiny_suite, store, "run", "--executor", *executor, *few)[0])
    pd.testing.assert_frame_equal(made[1], made[0])
    assert set(made[0]["method"]) == {"random_real", "dm"}


@pytest.mark.drill
def test_ray_keeps_the_row_of_a_worker_that_dies(tiny_suite, tmp_path):
    plugin = tmp_path / "dies.py"
    plugin.write_text(
        "import os\nfrom harness import Method, register_method\n\n@register_method('dies')\nclass Dies(Method):\n"
        "    title = 'Dies'\n    def synthesize(self, task, state, ipc):\n        os._exit(9)\n"
    )
    process = start(
        tmp_path / "log", "run", "--suite", tiny_suite, "--methods", "dies,random_real", "--plugin", plugin, "--ipc", "1",
        "--store", tmp_path / "s", "--name", "r", "--retries", "1",
    )  # fmt: skip
    assert finish(process) == 1
    rows = harness.load_results("r", tmp_path / "s").set_index("method")
    assert rows.loc["random_real", "status"] == "done"
    assert rows.loc["dies", "error"] == "worker died: os._exit(9) was called, tried 2 times"
    assert rows.loc["dies", "attempts"] == 2


def test_a_job_that_no_node_can_hold_is_refused_before_it_waits_for_ever(tiny_suite, tmp_path):
    suite = tmp_path / "hungry.yaml"
    text = tiny_suite.read_text().replace("memory_gb: 1.5", "memory_gb: 100000")
    assert "100000" in text
    suite.write_text(text)
    process = start(tmp_path / "log", "run", "--suite", suite, "--methods", "dit", "--store", tmp_path / "s")
    assert finish(process, timeout=120) == 2
    assert "asks for 1 CPUs, 0 GPUs and 100000.0 GB" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_an_interrupt_keeps_what_was_finished_and_says_how_to_go_on(tiny_suite, tmp_path, name, code):
    command = ("run", "--suite", tiny_suite, "--executor", "local", "--store", tmp_path, "--name", "cut")
    process = start(tmp_path / "log", *command)
    while not list((tmp_path / "store").glob("*/*/manifest.json")):
        time.sleep(0.05)
        assert process.exitcode is None
    os.kill(process.pid, getattr(signal, name))
    assert finish(process, timeout=60) == code
    assert "run the same command again" in (tmp_path / "log").read_text()
    assert json.loads((tmp_path / "runs" / "cut" / "run.json").read_text())["status"] == "interrupted"
    assert "interrupted" in set(harness.load_results("cut", tmp_path)["status"])
