"""A job of a remote store goes on from its last checkpoint on whichever machine takes it next."""

import tempfile

import fsspec
import pytest

from harness.api.run import prepare
from harness.core.errors import UserError
from harness.core.store import Store
from harness.jobs import remote_checkpoint
from harness.jobs.checkpoint import FolderCheckpoint
from harness.jobs.execute import execute
from harness.planning.request import make_request

PLUGIN = """
import torch
from harness import DistilledSet, Method, register_method

@register_method("dies")
class Dies(Method):
    version = 1
    title = "Dies"
    reference = "none"

    def fit(self, task):
        return {"steps": count(task, "fit")}

    def synthesize(self, task, state, ipc):
        assert state["steps"] == [0, 1, 2, 3]
        count(task, "synthesize")
        return DistilledSet({c.id: torch.zeros(ipc, 3, 16, 16, dtype=torch.uint8) for c in task.classes})

def count(task, what):
    saved = task.checkpoint.load()
    steps = saved["steps"] if saved else []
    for step in range(len(steps), 4):
        if step == 2 and saved is None:
            raise RuntimeError(f"killed in {what}")
        steps.append(step)
        task.checkpoint.save({"steps": steps})
    return steps
"""


@pytest.fixture
def store(tmp_path):
    yield Store(f"memory://{tmp_path.name}")
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_seconds_between_uploads_that_are_no_number_are_refused(monkeypatch):
    monkeypatch.setenv("HARNESS_CHECKPOINT_UPLOAD_S", "often")
    store = Store("memory://none")
    with pytest.raises(UserError, match="HARNESS_CHECKPOINT_UPLOAD_S is 'often'; expected a number of seconds"):
        FolderCheckpoint.of(store, store.scratch("0" * 32))


def test_a_fit_and_a_synthesis_go_on_where_another_machine_was_killed(store, tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_checkpoint, "EVERY_S", 0.0)
    plugin = tmp_path / "dies.py"
    plugin.write_text(PLUGIN)
    outcomes = {}
    for machine in ("first", "second", "third"):  # each has nothing but the store
        (tmp_path / machine).mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / machine))
        request = make_request(
            suite=tiny_suite, methods=["dies"], ipc=[1], executor="local", store=store.uri, plugins=[plugin]
        )
        resolved, plan = prepare(request)
        fit, synthesize = (
            next(job for job in plan.jobs.values() if job.kind == kind) for kind in ("fit", "synthesize")
        )
        outcomes[machine] = [execute(job, resolved.context, lambda *_: None).error for job in (fit, synthesize)]
    assert "killed in fit" in outcomes["first"][0]
    assert outcomes["second"][0] == ""
    assert "killed in synthesize" in outcomes["second"][1]
    assert outcomes["third"] == ["", ""]
    assert store.remote.files("store/partial") == []
