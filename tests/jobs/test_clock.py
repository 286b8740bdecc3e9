"""A job's clock counts each second once, as what it was, and a resumed job adds what its first part took."""

import contextlib
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from harness.core import environment
from harness.jobs import clock as clock_module
from harness.jobs.checkpoint import FolderCheckpoint
from harness.jobs.clock import Clock


class Time:
    """Stands for `time`: it passes only where a test says so, and a counter of energy rises by 10 J a second."""

    def __init__(self):
        self.now = 100.0
        self.cpu = 7.0

    def perf_counter(self):
        return self.now

    def process_time(self):
        return self.cpu

    def passes(self, seconds, busy=1.0):
        self.now += seconds
        self.cpu += busy * seconds


@pytest.fixture
def time(monkeypatch):
    made = Time()
    monkeypatch.setattr(clock_module, "time", made)
    monkeypatch.setattr(clock_module, "_energy_j", lambda device: 10 * made.now)
    return made


def make_clock(num_devices=1):
    return Clock(torch.device("cpu"), num_devices)


def test_cpu_time_counts_where_the_job_works_only(time):
    """A busy machine stretches the wall time of a job, and loading is no work."""
    with make_clock() as clock:
        time.passes(8, busy=0.25)
        with clock.loading():
            time.passes(2)
        with clock.per_image():
            time.passes(4, busy=0.5)
        with clock.paused():
            time.passes(16)
    assert (clock.result["wall_s"], clock.result["cpu_s"]) == (12, 4)


def test_loading_inside_loading_counts_once(time):
    with make_clock() as clock:
        time.passes(1)
        with clock.loading():
            time.passes(2)
            with clock.loading():
                time.passes(4)
            time.passes(8)
    assert (clock.result["wall_s"], clock.result["load_s"]) == (1, 14)


@pytest.mark.parametrize("outer", ["paused", "loading"])
def test_what_is_paused_is_neither_work_nor_loading(time, outer):
    inner = "loading" if outer == "paused" else "paused"
    with make_clock() as clock:
        time.passes(1)
        with getattr(clock, outer)():
            time.passes(2)
            with getattr(clock, inner)():
                time.passes(4)
        time.passes(8)
    assert (clock.result["wall_s"], clock.result["load_s"]) == (9, 0 if outer == "paused" else 2)


def test_an_error_inside_loading_ends_it(time):
    with make_clock() as clock:
        with contextlib.suppress(ValueError), clock.loading():
            time.passes(1)
            raise ValueError("no weights")
        time.passes(2)
    assert (clock.result["wall_s"], clock.result["load_s"]) == (2, 1)


def test_work_that_grows_with_the_images_is_part_of_the_work_and_loading_inside_it_is_not(time):
    with make_clock(2) as clock:
        time.passes(1)
        with clock.per_image():
            time.passes(2)
            with clock.loading():
                time.passes(4)
    assert {name: clock.result[name] for name in ("wall_s", "device_s", "per_image_s", "load_s")} == {
        "wall_s": 3, "device_s": 6, "per_image_s": 2, "load_s": 4,
    }  # fmt: skip


def part(time, folder, *, fails=True):
    """Run a job of two class groups that works 3 s, saves and works 5 s more in each; it may die in the second."""
    with make_clock() as clock:
        for number in range(2):
            checkpoint = FolderCheckpoint(folder / str(number), clock)
            checkpoint.load()
            if checkpoint.load() is None:
                with clock.per_image():
                    time.passes(3)
                    checkpoint.save({"step": 1})
            if not (fails and number):
                time.passes(5)
    return clock.result


def test_a_resumed_job_took_what_both_parts_took(time, tmp_path):
    part(time, tmp_path)
    time.passes(1000)
    resumed = part(time, tmp_path, fails=False)
    assert (resumed["wall_s"], resumed["per_image_s"], resumed["energy_j"]) == (16, 6, 160)


def test_a_resumed_job_saves_what_both_parts_took(time, tmp_path):
    for step in range(3):
        with make_clock() as clock:
            checkpoint = FolderCheckpoint(tmp_path, clock)
            assert checkpoint.load() == ({"step": step - 1} if step else None)
            time.passes(2)
            checkpoint.save({"step": step})
    assert (clock.result["wall_s"], clock.result["energy_j"]) == (6, 60)


@pytest.mark.parametrize("unknown", [0, 1])
def test_the_energy_of_a_resumed_job_is_unknown_where_that_of_one_part_is(time, tmp_path, monkeypatch, unknown):
    counters = [lambda device: 10 * time.now, lambda device: 10 * time.now]
    counters[unknown] = lambda device: None
    for counter in counters:
        monkeypatch.setattr(clock_module, "_energy_j", counter)
        result = part(time, tmp_path, fails=counter is counters[0])
    assert (result["wall_s"], result["energy_j"]) == (16, None)


def test_a_checkpoint_of_before_energy_was_kept_leaves_it_unknown(time, tmp_path):
    FolderCheckpoint(tmp_path).save({"step": 1, "elapsed_s of the job": 4.0})
    with make_clock() as clock:
        assert FolderCheckpoint(tmp_path, clock).load() == {"step": 1}
        time.passes(1)
    assert (clock.result["wall_s"], clock.result["energy_j"]) == (5, None)


def commit_in(folder, name="distillation-harness"):
    """Make a git repository in which the package `harness` lies; return the package's folder."""
    (folder / "harness").mkdir(parents=True)
    (folder / "harness" / "__init__.py").write_text("")
    if name:
        (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder / "harness"


def test_the_commit_is_that_of_our_own_checkout(tmp_path):
    package = commit_in(tmp_path / "ours")
    state = environment.git_state(package)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (package / "__init__.py").write_text("changed = 1")
    assert environment.git_state(package) == {**state, "dirty": True}


@pytest.mark.parametrize("name", ["their-project", ""])
def test_an_installed_harness_does_not_take_the_commit_of_the_project_around_it(tmp_path, name):
    commit_in(tmp_path / "theirs", name)
    installed = tmp_path / "theirs" / ".venv" / "harness"
    installed.mkdir(parents=True)
    for package in (installed, tmp_path / "theirs" / "harness"):
        assert environment.git_state(package) == {"commit": None, "dirty": None}


def test_a_copy_inside_our_checkout_is_not_the_checkout(tmp_path):
    commit_in(tmp_path)
    (tmp_path / ".venv" / "harness").mkdir(parents=True)
    assert environment.git_state(tmp_path / ".venv" / "harness")["commit"] is None


def test_the_environment_names_the_version_of_the_harness():
    import harness

    found = environment.environment("cpu")
    assert found["harness"] == harness.__version__
    assert found["git"] == environment.git_state(), "this checkout's, in which the tests run"


def test_energy_is_that_of_torchs_device_in_joules(monkeypatch):
    """The declared NVML package is there; a machine without a driver knows no energy, and that is no error."""
    import pynvml

    gpu = SimpleNamespace(uuid="12-34")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: uuid)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", {"GPU-12-34": 5_000}.__getitem__)
    assert clock_module._energy_j(torch.device("cuda")) == 5.0
    gpu.uuid = "unknown"
    assert clock_module._energy_j(torch.device("cuda")) is None
    assert clock_module._energy_j(torch.device("cpu")) is None


def test_the_peak_of_a_job_holds_nothing_that_an_earlier_job_of_the_process_freed():
    """In a process of its own, because freed pages are kept there from the start."""
    peaks = subprocess.check_output([sys.executable, "-c", TWO_JOBS], text=True)
    before, large, small = (int(line) / 2**20 for line in peaks.split())
    assert large - before > 350, "100 million float32 are 381 MiB"
    assert abs(small - before) < 60


TWO_JOBS = """
import torch
from harness.jobs.clock import Clock
from harness.jobs.threads import keep_pages, release_pages

keep_pages()
for size in (1000, 100_000_000, 1000):
    release_pages()
    with Clock(torch.device("cpu"), 1) as clock:
        torch.ones(size).sum()
    print(clock.result["peak_host_bytes"])
"""
