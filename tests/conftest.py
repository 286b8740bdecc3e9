"""Shared by the tests: a digits suite whose jobs take a second or two, and the command line in a process of its own."""

from __future__ import annotations

import os
import sys
from functools import cache
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
    import torch

    from harness.core.config.protocol import Protocol
    from harness.core.plugin import discovery
    from harness.core.plugin.task import Task
    from harness.data.real import RealImages
    from harness.diffusion.generator_kinds import PriorInputs, generator_kinds
    from harness.jobs.context import open_split
    from harness.jobs.task_resources import load_generator
    from harness.planning.method_selection import method_config
    from harness.planning.request import make_request
    from harness.planning.resolve import resolve
    from harness.students.build import build_student
    from harness.students.features import FeatureExtractor
    from harness.training.soft_labels import SoftLabels

    resolved = resolve(make_request(suite=tiny_suite))
    context = resolved.context
    split = open_split(context, "train")
    folder = tmp_path_factory.mktemp("generator")
    images, labels = split.tensors(size=16, crop="adm")
    names = [c.id for c in context.classes]
    for kind, spec in context.generators.items():
        out = folder / kind / "pipeline"
        quiet = {"report": lambda *_: None, "log": lambda *_, **__: None}
        generator_kinds.get(kind).train(PriorInputs(images, labels, spec, context.classes, out, "cpu", **quiet))

    @cache
    def student(name):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build_student(name, len(names), 16).requires_grad_(False).eval()

    class Services:
        def __init__(self, method):
            self.own = own_teacher(method) or "convnet3"

        def generator(self, kind):
            return load_generator(context, kind, folder / kind)

        def features(self, name):
            return FeatureExtractor.from_student(student(self.own), Protocol(), 16, "cpu")

        def teacher(self):
            return SoftLabels(student(self.own), Protocol(), 0, side=16)

    def own_teacher(name):
        if name not in discovery.methods:
            return None
        return discovery.methods.get(name)(method_config(name, resolved.suite, {})).own_teacher()

    def make(kind, name, seed=0, classes=context.classes[:3]):
        device = torch.device("cpu")
        real = RealImages(split.restrict([c.id for c in classes]), size=16, device=device)
        return Task(classes, real, 16, device, seed, (kind, name, classes[0].id), Services(name))

    return make
