"""What all jobs of a run share: one store per context, and a copy that travels to a worker opens its own."""

import pickle
import shutil

import pytest

from harness.api.run import prepare
from harness.core.store import Store
from harness.jobs.context import JobContext
from harness.jobs.execute import execute
from harness.planning.request import make_request


def test_a_context_has_one_store_and_a_worker_opens_its_own(tmp_path):
    context = JobContext(f"memory://{tmp_path.name}", {}, "data", "", ())
    assert context.store is context.store
    assert not context.store.has("fit", "ab" * 16)
    other = pickle.loads(pickle.dumps(context))
    assert other == context
    assert "store" not in vars(other), "a listing of this machine, or a path of it, says nothing on another one"
    assert other.store.uri == context.store.uri


def test_a_job_that_another_machine_did_meanwhile_is_not_done_again(tiny_suite, tmp_path, monkeypatch):
    """The store of a context lists a remote once; before a job runs the remote itself is asked."""
    uri = f"memory://meanwhile-{tmp_path.name}"
    request = make_request(suite=tiny_suite, methods=["random_real"], ipc=[1], executor="local", store=uri)
    resolved, plan = prepare(request)
    job = next(job for job in plan.jobs.values() if job.kind == "synthesize")
    assert not resolved.context.store.has(job.kind, job.key)
    Store(uri).write(job.kind, job.key, lambda folder: {"result": {"made": "there"}})
    monkeypatch.setattr(Store, "write", lambda *_, **__: pytest.fail("done again"))
    assert execute(job, resolved.context, lambda *_: None).ok
    shutil.rmtree(Store(uri).root)
