"""Shared by the tests: a digits suite whose jobs take a second or two, and the command line in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.support import harness_process, tiny_suite_values


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory) -> Path:
    """The YAML file of the tiny suite."""
    path = tmp_path_factory.mktemp("suite") / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_suite_values(), sort_keys=False))
    return path


def pytest_configure():
    """Keep freed pages, as every job does: a training in a test's own process would take twice as long."""
    from harness.jobs import threads

    threads.keep_pages()


def pytest_collection_modifyitems(items):
    """Files with slow tests come first: with the longest at the end, one process would work and the other wait."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory) -> Path:
    """A store that tests may fill together: equal jobs run once for all of them."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def digits_store(tmp_path_factory) -> Path:
    """A store of the digits suite for all test processes together: its priors and teachers are trained once."""
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "digits"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture(scope="session", autouse=True)
def real_figures():
    """The figures that a run leaves take two seconds: runs in a test's own process draw none. Yields what draws them."""
    from harness.api import run_files as run

    drawn = run.figures
    run.figures = lambda *args, **fields: {}
    yield drawn
    run.figures = drawn


@pytest.fixture(autouse=True)
def _forget_plugins():
    """Methods that a test registers are gone after it."""
    from harness.core.plugin import discovery

    discovery.discover()
    items, modules = discovery.methods.snapshot(), set(sys.modules)
    yield
    discovery.methods.restore(items)
    for name in set(sys.modules) - modules:
        if name.startswith("harness_plugin_"):
            del sys.modules[name]


@pytest.fixture
def cli_process():
    """Run `harness ARGS` in a process of its own to its end; return (exit code, standard output, standard error)."""

    def call(*args: str | Path, timeout: float = 300) -> tuple[int, str, str]:
        process = harness_process(*args)
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err

    return call


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run `harness ARGS` as `cli_process` does, in this process: without the seconds of imports, and with the shortest trials."""
    from harness.cli.app import main

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("harness.planning.calibrate.CALIBRATION_S", 0.0)

    def call(*args: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture(scope="session")
def make_task(tiny_suite, tmp_path_factory):
    """Return a function that makes the task of a job as the engine does, with a generator and a teacher of its own."""
    from tests.helpers.tasks import task_maker

    return task_maker(tiny_suite, tmp_path_factory.mktemp("generator"))
