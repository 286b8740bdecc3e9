"""A store on a real S3 server: few requests, an artefact whole or not there, and faults that are said in one message."""

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

import harness
from harness.core.claims import Claims
from harness.core.remote_errors import RemoteError
from harness.core.store import MANIFEST, Store
from harness.jobs import remote_checkpoint
from harness.jobs.checkpoint import FolderCheckpoint
from tests.helpers.s3_server import S3Server
from tests.helpers.support import ROOT

KEY = "0123456789abcdef" * 2


@pytest.fixture(scope="session")
def s3():
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def uri(s3, tmp_path, monkeypatch):
    """A new bucket and a folder in it, for this process and those that it starts; the cache of a machine of its own."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("harness.core.remote.WAITS_S", (0.0, 0.0))
    on_machine(monkeypatch, tmp_path / "first")
    yield s3.make_bucket(f"bucket{time.time_ns()}") + "/results"
    s3.fault = lambda method, path: None


def on_machine(monkeypatch, folder):
    """Go on as another machine, whose temporary folder this is."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


def fill(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "a.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "b.txt").write_text("hello")
    return {"result": {"x": 1}}


def test_what_is_written_and_asked_takes_few_requests(uri, s3):
    for number in range(3):
        Store(uri).write("fit", f"{number:032x}", fill)
    assert s3.counts() == {"GET": 3, "PUT": 3 * (2 + 2)}, "is it there? its files, its manifest, its mark"
    s3.requests.clear()
    store = Store(uri)
    assert [store.has("fit", f"{number:032x}") for number in range(100)] == [True] * 3 + [False] * 97
    assert s3.counts() == {"LIST": 1}
    s3.requests.clear()
    assert not store.has("fit", KEY, anew=True)
    assert store.has("fit", f"{1:032x}", anew=True)
    assert s3.counts() == {"GET": 2}


def test_a_listing_of_more_than_a_page_is_whole(uri, s3):
    s3.fill(uri, [f"store/whole/fit/{number:032x}" for number in range(1010)])
    store = Store(uri)
    assert sum(store.has("fit", f"{number:032x}") for number in range(1020)) == 1010
    assert s3.counts() == {"LIST": 2}


@pytest.mark.parametrize("fault", ["cut", "fail"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_connection_that_is_cut_in_an_upload_leaves_no_artefact_and_the_next_try_uploads_it(uri, s3, fault, number):
    """Files, then the manifest; the copy here does not count as what the store has, and is not made again."""
    seen = 0

    def count(method, path):
        nonlocal seen
        seen += method == "PUT"
        return fault if method == "PUT" and seen >= number else None

    s3.fault = count
    with pytest.raises(RemoteError) as error:
        Store(uri).write("fit", KEY, fill)
    assert error.value.lost
    s3.fault = lambda method, path: None
    assert not Store(uri).has("fit", KEY)
    assert not Store(uri).has("fit", KEY, anew=True)
    with pytest.raises(FileNotFoundError):
        Store(uri).fetch("fit", KEY)
    assert Store(uri).offer("fit", KEY)
    assert Store(uri).has("fit", KEY)
    shutil.rmtree(Store(uri).root)
    assert not Store(uri).damage("fit", KEY)


def test_a_connection_that_is_cut_once_is_not_noticed(uri, s3):
    cut = iter(range(10))
    s3.fault = lambda method, path: "cut" if method == "PUT" and next(cut) in (0, 1, 5) else None
    Store(uri).write("fit", KEY, fill)
    s3.fault = lambda method, path: None
    shutil.rmtree(Store(uri).root)
    assert not Store(uri).damage("fit", KEY)


def test_a_copy_that_was_damaged_here_is_not_uploaded(uri, s3):
    s3.fault = lambda method, path: "fail" if path.endswith(MANIFEST) and method == "PUT" else None
    with pytest.raises(RemoteError):
        Store(uri).write("fit", KEY, fill)
    s3.fault = lambda method, path: None
    (Store(uri).path("fit", KEY) / "b.txt").write_text("jello")
    assert not Store(uri).offer("fit", KEY)
    Store(uri).write("fit", KEY, fill)
    shutil.rmtree(Store(uri).root)
    assert (Store(uri).fetch("fit", KEY) / "b.txt").read_text() == "hello"


def test_what_somebody_removed_from_the_bucket_is_made_again(uri):
    Store(uri).write("fit", KEY, fill)
    Store(uri).remote.remove(f"store/fit/{KEY}/{MANIFEST}")
    with pytest.raises(FileNotFoundError, match="no artefact"):
        Store(uri).fetch("fit", KEY)
    assert not Store(uri).has("fit", KEY)


def test_two_runs_at_once_do_each_job_once(uri, tmp_path, monkeypatch):
    """Each does what the scheduler does: it takes a job, asks the store once more, does it, and gives it back."""
    keys, done, errors = [f"{number:032x}" for number in range(12)], [], []

    def drive():
        store, left = Store(uri), list(keys)
        with Claims(store) as claims:
            while left:
                key = left.pop(0)
                if not claims.take("fit", key):
                    left.append(key)
                    continue
                if not store.has("fit", key, anew=True):
                    done.append(key)
                    store.write("fit", key, fill)
                claims.release("fit", key)

    def guarded():
        try:
            drive()
        except Exception as error:
            errors.append(error)

    runs = [threading.Thread(target=guarded) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert not errors
    assert sorted(done) == keys
    assert {name for name in Store(uri).remote.files("store") if "claims" in name} == set()


def test_a_claim_takes_three_requests_and_is_had_once(uri, s3):
    with Claims(Store(uri)) as first, Claims(Store(uri)) as second:
        s3.requests.clear()
        assert first.take("fit", KEY)
        first.release("fit", KEY)
        assert s3.counts() == {"PUT": 1, "LIST": 1, "DELETE": 1}
        for number in range(5):
            together, taken = threading.Barrier(2), []

            def race(claims, key=f"{number:032x}", together=together, taken=taken):
                together.wait()
                taken.append(claims.take("fit", key))

            threads = [threading.Thread(target=race, args=(claims,)) for claims in (first, second)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(taken) == [False, True]


def test_a_fit_goes_on_from_its_last_checkpoint_on_another_machine(uri, s3, monkeypatch, tmp_path):
    def checkpoint():
        store = Store(uri)
        return FolderCheckpoint.of(store, store.scratch(KEY))

    monkeypatch.setattr(remote_checkpoint, "EVERY_S", 0.0)
    assert checkpoint().load() is None
    checkpoint().save({"step": 1})
    checkpoint().save({"step": 2})
    on_machine(monkeypatch, tmp_path / "second")
    there = checkpoint()
    assert there.load() == {"step": 2}
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)  # its clock is years behind
    there.remote._next = 0.0
    there.save({"step": 3})
    on_machine(monkeypatch, tmp_path / "first")
    assert checkpoint().load() == {"step": 3}
    assert len([name for name in Store(uri).remote.files(f"store/partial/{KEY}") if name.endswith("whole")]) == 1
    checkpoint().clear()
    assert Store(uri).remote.files(f"store/partial/{KEY}") == []
    on_machine(monkeypatch, tmp_path / "third")
    assert checkpoint().load() is None


def test_a_fast_loop_does_not_upload_each_step(uri, s3):
    store = Store(uri)
    checkpoint = FolderCheckpoint.of(store, store.scratch(KEY))
    for step in range(20):
        checkpoint.save({"step": step})
    assert s3.requests == []
    checkpoint.remote._next = 0.0
    checkpoint.save({"step": 20})
    assert s3.counts() == {"PUT": 3}
    checkpoint.save({"step": 21})
    assert len(s3.requests) == 3


def test_an_upload_of_a_checkpoint_that_fails_does_not_end_the_fit(uri, s3, monkeypatch):
    monkeypatch.setattr(remote_checkpoint, "EVERY_S", 0.0)
    store = Store(uri)
    s3.fault = lambda method, path: "cut" if method == "PUT" and path.endswith("whole") else None
    FolderCheckpoint.of(store, store.scratch(KEY)).save({"step": 1})
    s3.fault = lambda method, path: None
    shutil.rmtree(store.root)
    assert FolderCheckpoint.of(store, store.scratch(KEY)).load() is None
    FolderCheckpoint.of(store, store.scratch(KEY)).save({"step": 2})
    assert {name.split("/")[1] for name in store.remote.files(f"store/partial/{KEY}")} == {
        "state.json", "state.safetensors", "whole",
    }  # fmt: skip


def comparable(run, store=None):
    """Return the records of a run without its name and folder, what was run now, and what a clock says."""
    rows = harness.load_results(run, store)
    varying = [name for name in rows if name.endswith(("_s", "_j")) or name.startswith("peak_")]
    return json.loads(rows.drop(columns=[*varying, "run", "cached", "image_folder"]).to_json(orient="records"))


LIVE = ("claims", "status.json", "events.jsonl")
"""Written now and then while a run goes on."""


def test_a_run_ends_with_the_records_of_a_local_one(uri, s3, tiny_suite, tmp_path, monkeypatch, cli):
    asked = {"methods": ["random_real"], "suite": tiny_suite, "ipc": [1, 2], "executor": "local", "name": "r"}
    local = harness.run(**asked, store=tmp_path / "local")
    s3.requests.clear()
    there = harness.run(**asked, store=uri)
    s3.requests[:] = [one for one in s3.requests if not any(name in one for name in LIVE)]
    requests, files = s3.counts(), Store(uri).remote.files("")
    files = [name for name in files if not any(live in name for live in LIVE)]
    assert comparable(local) == comparable(there)

    # Three jobs. Each: is it there, again before its upload; two trainings read a manifest twice, and so do two records.
    assert requests["GET"] <= 3 * 2 + 2 * 2 + 5
    # Two kinds and the names of runs, an empty folder takes two.
    assert requests["LIST"] == 2 * 3
    # All files, and the file by which the store was found writable, which is removed; run.json and what the monitor writes
    # twice or three times, as time has it.
    assert len(files) + 2 <= requests["PUT"] <= len(files) + 6
    assert requests["DELETE"] == 1
    assert set(requests) == {"GET", "LIST", "PUT", "DELETE"}

    on_machine(monkeypatch, tmp_path / "second")
    code, out, _ = cli("list", "runs", "--store", uri)
    assert code == 0
    assert any(line.split()[:1] == ["r"] for line in out.splitlines())
    s3.requests.clear()
    code, out, _ = cli("report", "r", "--html", "--store", uri)
    assert code == 0, out
    assert any(line.startswith("PUT") and line.endswith("/runs/r/index.html") for line in s3.requests)
    again = harness.run(**asked | {"name": "again"}, store=uri)
    assert not any(again.executed.values())
    assert comparable(again) == comparable(local)


RUNS_IN_CHILDREN = """
import json, os, sys, tempfile
import s3fs, torch
import harness, harness.jobs.distill, harness.jobs.train

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        tempfile.tempdir = asked.pop("machine")
        harness.run(**asked)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Each run is a process of its own; they share the seconds of imports."""


@pytest.mark.drill
@pytest.mark.slow  # four runs in processes of their own, and a local one
def test_a_run_that_is_killed_three_times_on_three_machines_ends_with_the_records_of_a_local_one(
    uri, s3, tiny_suite, tmp_path, monkeypatch
):
    """Each dies in the middle of an upload, and the next has nothing but the store."""
    asked = {"suite": str(tiny_suite), "methods": ["random_real", "dm"], "ipc": [1], "executor": "local"}
    running = []

    def kill(number):
        puts = itertools.count(1)

        def fault(method, path):
            if method == "PUT" and "/store/" in path and "claims" not in path and next(puts) == number:
                os.kill(running[-1], signal.SIGKILL)
                return "cut"
            return None

        return fault

    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen([sys.executable, "-c", RUNS_IN_CHILDREN], **pipes) as runs:
        for number in (6, 16, 22, None):
            machine = tmp_path / f"machine{number}"
            machine.mkdir()
            s3.fault = lambda method, path: None
            fault = kill(number)
            print(json.dumps({**asked, "machine": str(machine), "store": uri, "name": f"r{number}"}), file=runs.stdin)
            runs.stdin.flush()
            running.append(int(runs.stdout.readline()))
            s3.fault = fault
            assert int(runs.stdout.readline()) == (0 if number is None else -signal.SIGKILL)
        runs.stdin.close()
    s3.fault = lambda method, path: None
    local = harness.run(**asked, store=tmp_path / "local")
    assert comparable("rNone", uri) == comparable(local)
    made = [one for one in s3.requests if one.startswith("PUT") and one.endswith("manifest.json")]
    assert len(made) == len(set(made)), "nothing was done twice that the store had"


def test_a_lost_connection_at_the_end_is_one_message_and_the_same_command_finishes(uri, s3, tiny_suite, cli):
    args = [
        "run",
        "--suite",
        tiny_suite,
        "--methods",
        "random_real",
        "--ipc",
        "1",
        "--executor",
        "local",
        "--store",
        uri,
    ]
    s3.fault = lambda method, path: "cut" if "records.json" in path else None
    code, _, err = cli(*args)
    assert code == 2
    assert "its files could not be copied to store" in err
    assert "the same `harness run` command" in err
    s3.fault = lambda method, path: None
    code, _, err = cli(*args)
    assert code == 0
    assert "already in the store" in err


def refused(cli, tiny_suite, store):
    begun = time.monotonic()
    code, _, err = cli(
        "run", "--suite", tiny_suite, "--methods", "random_real", "--ipc", "1", "--executor", "local", "--store", store
    )
    assert code == 2, err
    assert time.monotonic() - begun < 15
    assert f"store {store}: cannot be" in " ".join(err.split())
    assert "Traceback" not in err
    return err


def test_faults_of_the_address_are_one_message_and_nothing_is_written(uri, s3, tiny_suite, cli, tmp_path, monkeypatch):
    assert "bucket does not exist" in refused(cli, tiny_suite, "s3://no-such-bucket/x")
    s3.requests.clear()
    s3.fault = lambda method, path: "refuse" if method in ("PUT", "POST") else None
    assert "Access Denied" in refused(cli, tiny_suite, uri)
    s3.fault = lambda method, path: "refuse"
    assert "Access Denied" in refused(cli, tiny_suite, uri)
    s3.fault = lambda method, path: None
    assert Store(uri).remote.files("") == []
    assert not list((tmp_path / "first").iterdir())


def test_an_endpoint_that_nobody_answers_is_said_soon(uri, tiny_suite, cli, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")  # or fsspec hands out the file system of before
        forget_s3()
        assert "Could not connect" in refused(cli, tiny_suite, "s3://bucket/x")
    assert not list((tmp_path / "first").iterdir())
    forget_s3()


def forget_s3():
    """fsspec keeps file systems by their arguments, and the address comes from the environment."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def test_a_read_only_bucket_may_be_reported_from(uri, s3, tiny_suite, cli, tmp_path, monkeypatch):
    harness.run(methods=["random_real"], suite=tiny_suite, ipc=[1], executor="local", store=uri, name="r")
    on_machine(monkeypatch, tmp_path / "second")
    s3.fault = lambda method, path: "refuse" if method != "GET" and method != "HEAD" else None
    code, _, err = cli("report", "r", "--html", "--store", uri)
    assert code == 0
    assert "could not be copied to the store" in " ".join(err.split())
