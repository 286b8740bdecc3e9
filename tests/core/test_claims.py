"""Two runs at once do a job once, and a claim outlives its run by no more than its last sign of life."""

import json
import os
import subprocess
import sys
import threading
import time

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from harness.core import claims as module
from harness.core.claims import Claims
from harness.core.process_identity import gone_from_here, own_process
from harness.core.store import Store

KEY = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    yield Store(tmp_path if request.param == "folder" else f"memory://{tmp_path.name}")
    if request.param == "memory":
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def start():
    """Return a function that starts the claims of another run."""
    started = []

    def make(store):
        started.append(Claims(store))
        started[-1].start()
        return started[-1]

    yield make
    for one in started:
        one.stop()


def claim_names(store):
    return Claims(store)._files.names() - {"runs"}


def die(claims):
    """Do as a killed run of another machine: no more signs of life, and nothing given back."""
    claims._stopping.set()
    claims._beats.join()
    claims._files.write(f"runs/{claims.run}", json.dumps({"machine": "other", "pid": 1, "started": "1"}))


def test_what_one_run_has_taken_another_may_not_do_until_it_is_given_back(store, start):
    first, second = start(store), start(store)
    assert first.take("fit", KEY)
    assert first.take("fit", KEY), "the same run again"
    assert not second.take("fit", KEY)
    assert second.take("fit", OTHER)
    first.release("fit", KEY)
    assert second.take("fit", KEY)


def test_the_end_of_a_run_gives_everything_back(store, start):
    second = start(store)
    with Claims(store) as first:
        assert first.take("fit", KEY)
        assert not second.take("fit", KEY)
    assert second.take("fit", KEY)
    second.stop()
    assert claim_names(store) == set()
    assert Claims(store)._files.names("runs") == set()


def test_many_at_once_take_a_job_once(tmp_path, start):
    store = Store(tmp_path)
    runs = [start(store) for _ in range(8)]
    for key in (f"{n:032x}" for n in range(10)):
        together, taken = threading.Barrier(len(runs)), []

        def race(claims, key=key, together=together, taken=taken):
            together.wait()
            if claims.take("fit", key):
                taken.append(claims)

        threads = [threading.Thread(target=race, args=(claims,)) for claims in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1


def test_a_run_without_a_sign_of_life_is_taken_over_once_by_the_clock_of_the_storage(store, start, monkeypatch):
    first, second, third = start(store), start(store), start(store)
    assert first.take("fit", KEY)
    die(first)
    assert not second.take("fit", KEY), "it may be a slow one"
    monkeypatch.setattr(module, "_ASKED_S", 0.0)
    real, sign = type(second._files).modified, f"runs/{first.run}"
    old = lambda self, name: real(self, name) - (61 if name == sign else 0)  # noqa: E731
    monkeypatch.setattr(type(second._files), "modified", old)
    assert second.take("fit", KEY)
    assert not third.take("fit", KEY)
    second.release("fit", KEY)
    assert third.take("fit", KEY)


def test_a_wrong_clock_of_a_machine_matters_not(store, start, monkeypatch):
    first, second = start(store), start(store)
    assert first.take("fit", KEY)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert not second.take("fit", KEY)


def test_a_run_of_this_machine_that_was_killed_is_taken_over_at_once(tmp_path, start):
    code = (
        "import sys; from harness.core.claims import Claims; from harness.core.store import Store\n"
        f"claims = Claims(Store({str(tmp_path)!r})); claims.start(); print(claims.take('fit', {KEY!r}), flush=True)\n"
        "sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as process:
        assert process.stdout.readline() == "True\n"
        second = start(Store(tmp_path))
        assert not second.take("fit", KEY)
        process.kill()
    third = start(Store(tmp_path))
    assert third.take("fit", KEY)
    assert claim_names(Store(tmp_path)) == {f"{KEY}.0"}, "the start of the third has swept"


def test_two_claims_of_dead_runs_hold_nobody_up(store, start, monkeypatch):
    """Killed between taking over and clearing away."""
    first, second = start(store), start(store)
    for number in (0, 1):
        first._files.create(f"{KEY}.{number}", f"dead{number}")
    assert second.take("fit", KEY)
    assert claim_names(store) == {f"{KEY}.2"}


def test_what_dead_runs_left_is_swept_and_what_live_ones_hold_is_not(store, start):
    first = start(store)
    assert first.take("fit", KEY)
    first._files.create(f"{OTHER}.0", "nobody")
    start(store)
    assert claim_names(store) == {f"{KEY}.0"}


def test_claims_that_cannot_be_kept_are_said_once_and_hold_nobody_up(store, start, monkeypatch, caplog):
    def refuse(self, *_):
        raise PermissionError("read-only")

    working = start(store)
    for name in ("create", "write"):
        monkeypatch.setattr(type(working._files), name, refuse)
    broken = start(store)
    assert broken.take("fit", KEY)
    assert working.take("fit", KEY)
    assert working.take("fit", OTHER)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2, "once for each run"


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_a_remote_that_knows_no_exclusive_writing_still_has_claims(store, start, monkeypatch):
    real = MemoryFileSystem.pipe_file

    def plain(self, path, value, mode="overwrite", **options):
        if mode == "create":
            raise NotImplementedError
        return real(self, path, value, **options)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", plain)
    first, second = start(store), start(store)
    assert first.take("fit", KEY)
    assert not second.take("fit", KEY)


def test_a_process_is_known_to_be_gone_only_on_its_own_machine():
    about = json.loads(own_process())
    assert not gone_from_here(own_process())
    assert gone_from_here(json.dumps({**about, "started": "1"}))
    assert not gone_from_here(json.dumps({**about, "started": "1", "machine": "other"}))
    assert not gone_from_here("")
    with subprocess.Popen([sys.executable, "-c", "pass"], stdin=subprocess.PIPE) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert gone_from_here(json.dumps({**about, "pid": child.pid})), "a zombie works no more"


def test_a_claim_in_a_folder_costs_little(tmp_path, start):
    claims = start(Store(tmp_path))
    begun = time.perf_counter()
    for number in range(200):
        assert claims.take("train", f"{number:032x}")
        claims.release("train", f"{number:032x}")
    assert (time.perf_counter() - begun) / 200 <= 0.002  # 0.2 ms measured
