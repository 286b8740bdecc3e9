"""A synthesis goes from class group to class group: each has its own checkpoint, and together they make one set."""

import re

import pytest

from harness.api.run import prepare
from harness.core.store import Store
from harness.jobs.execute import execute
from harness.planning.request import make_request

PLUGIN = """
import torch
from harness import DistilledSet, Method, Stored, register_method

def images(task, ipc, value=0.5):
    return {c.id: torch.full((ipc, 3, task.image_size, task.image_size), value) for c in task.classes}

class Grouped(Method):
    def group_size(self):
        return 5

    def fit(self, task):
        return {"first": task.classes[0].label}

def make(name, result):
    def synthesize(self, task, state, ipc):
        return result(task, ipc)
    register_method(name)(type(name, (Grouped,), {"title": name, "synthesize": synthesize}))

def stored(files=(), shared=1, draws=1):
    def result(task, ipc):
        values = [v[task.classes[0].label // 5] if isinstance(v, tuple) else v for v in (files, shared, draws)]
        made = Stored(values[0], values[1]) if values[0] is not None else None
        return DistilledSet(images(task, ipc * values[2]), stored=made, draws=values[2])
    return result

def resumes(task, ipc):
    kept, large = task.checkpoint.load(), task.checkpoint.file("large")
    seen = [kept["value"] if kept else -1, large.exists()]
    if kept is None:
        task.checkpoint.save({"value": task.classes[0].label})
        large.write_text("")
    kept = task.checkpoint.load()
    return DistilledSet(images(task, ipc, kept["value"] / 255), notes=(str(seen),))

def dies_once(task, ipc):
    made = resumes(task, ipc)
    if task.classes[0].label and made.notes == ("[-1, False]",):
        raise RuntimeError("killed in the second group")
    return made

def with_labels(labels):
    def result(task, ipc):
        given = {c.id: torch.zeros(ipc, 10) for c in task.classes} if labels else None
        return DistilledSet(images(task, ipc), soft_labels=given)
    return result

make("resumes", resumes)
make("dies_once", dies_once)
make("other_draws", stored(({"a": b"1"}, {"b": b"2"}), draws=(1, 2)))
make("other_generator", stored(({"a": b"1"}, {"b": b"2"}), shared=(5, 6)))
make("same_name", stored(({"a": b"1"}, {"a": b"2"})))
make("same_file", stored(({"a": b"1", "b": b"12"}, {"a": b"1", "c": b"123"})))
make("half_stored", stored(({"a": b"1"}, None)))
make("unasked_labels", with_labels(True))
make("no_labels", with_labels(False))
harness_methods = __import__("harness.core.plugin.discovery", fromlist=["methods"]).methods
harness_methods.get("no_labels").own_labels = lambda self: True
"""


@pytest.fixture(scope="module")
def distil(tiny_suite, tmp_path_factory):
    """Return a function that makes the distilled set of a method at IPC 1: the outcome, the job and the store."""
    folder = tmp_path_factory.mktemp("grouped")
    plugin = folder / "grouped.py"
    plugin.write_text(PLUGIN)
    store = Store(str(folder / "store"))

    def call(name):
        request = make_request(
            suite=tiny_suite, methods=[name], ipc=[1], executor="local", store=store.root, plugins=[plugin]
        )
        resolved, plan = prepare(request)
        for kind in ("fit", "synthesize"):
            for job in (j for j in plan.jobs.values() if j.kind == kind and j.spec["method"] == name):
                outcome = execute(job, resolved.context, lambda *_: None)
        return outcome, job, store

    return call


def first_pixels(store, job):
    from PIL import Image

    folder = store.path("synthesize", job.key)
    return [Image.open(path).getpixel((0, 0))[0] for path in sorted(folder.glob("[0-9]/00000.png"))]


def test_a_group_never_sees_the_checkpoint_of_another(distil):
    outcome, job, store = distil("resumes")
    assert outcome.ok, outcome.trace
    assert first_pixels(store, job) == [0] * 5 + [5] * 5
    assert store.manifest("synthesize", job.key)["result"]["notes"] == ["[-1, False]"] * 2
    assert not store.scratch(job.key).exists()


def test_a_killed_synthesis_goes_on_in_every_group(distil):
    outcome, job, store = distil("dies_once")
    assert "killed in the second group" in outcome.error
    outcome, _, _ = distil("dies_once")
    assert outcome.ok, outcome.trace
    assert first_pixels(store, job) == [0] * 5 + [5] * 5
    assert store.manifest("synthesize", job.key)["result"]["notes"] == ["[0, True]", "[5, True]"]
    assert not store.scratch(job.key).exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other_draws", "draws = 2.*group.*'5'.*1 in an earlier group"),
        ("other_generator", "shared_bytes = 6.*group.*'5'.*5 in an earlier group"),
        ("same_name", "file 'a'.*group.*'5'.*differs from the file.*include the class in its name"),
        ("half_stored", "`stored` is given only for some groups.*group.*'5'"),
        ("unasked_labels", r"soft labels.*own_labels\(\).*return True"),
        ("no_labels", r"own_labels\(\) is True.*no soft labels"),
    ],
)
def test_what_would_be_lost_or_miscounted_is_refused(distil, name, message):
    outcome, _, _ = distil(name)
    assert not outcome.ok

    assert re.search(message, outcome.error), outcome.error


def test_a_file_that_groups_share_counts_once(distil):
    outcome, job, store = distil("same_file")
    assert outcome.ok, outcome.trace
    assert store.manifest("synthesize", job.key)["result"]["storage_bytes"] == 6
