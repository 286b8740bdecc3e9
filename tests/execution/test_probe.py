"""Whether machines share a store, tried with folders that they do and do not share."""

import uuid

import pytest

from harness.core.errors import UserError
from harness.execution.ray import probe as probe_module
from harness.execution.ray.probe import Probe


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(probe_module, "PATIENCE_S", 0.0)


@pytest.fixture(params=["folder", "folder that is not there yet", "fsspec"])
def shared(request, tmp_path):
    """The store of all machines."""
    places = {"folder": tmp_path, "folder that is not there yet": tmp_path / "a" / "results"}
    return Probe(str(places.get(request.param, f"memory://{uuid.uuid4().hex}/results")), "probe")


def test_machines_that_share_a_store_see_each_other_and_leave_nothing(shared, tmp_path):
    shared.open()
    assert shared.write("one") == ""
    assert shared.unseen({"one", "two"}) == {"two"}
    shared.close()
    assert shared.unseen({"one"}) == {"one"}
    assert list(tmp_path.iterdir()) == []


def test_a_machine_with_a_folder_of_its_own_says_so_and_writes_nothing(shared, tmp_path):
    """As where the driver's file is not there: on another disk."""
    assert "does not see the store" in shared.write("one")
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_may_not_write_says_so(shared, monkeypatch):
    shared.open()
    files, _ = shared._place()

    def refuse(*args, **fields):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(files), "pipe_file", refuse)
    assert "cannot write to the store" in shared.write("one")
    with pytest.raises(UserError, match="cannot be written"):
        shared.open()
    shared.close()
