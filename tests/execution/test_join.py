"""Joining a cluster: what is wrong with an address is one message within seconds, and Ray writes no warnings."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from harness.core.errors import UserError
from harness.execution.ray import join as join_module
from harness.execution.ray.join import cluster_device, join
from tests.helpers.clusters import ROOT, cluster


@pytest.fixture
def closed_port():
    """A port of this machine at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def listener():
    """Return a function that starts a server which answers each connection with some bytes and gives its port."""
    with contextlib.ExitStack() as stack:

        def start(answer):
            server = stack.enter_context(socket.create_server(("", 0)))

            def serve():
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = server.accept()
                        with connection:
                            connection.sendall(answer)
                            while connection.recv(1024):
                                pass

            threading.Thread(target=serve, daemon=True).start()
            return server.getsockname()[1]

        yield start


def refused(address):
    """Return the message with which an address is refused, within 5 s."""
    began = time.monotonic()
    with pytest.raises(UserError) as error:
        join(address, None)
    assert time.monotonic() - began < 5
    return str(error.value)


def test_an_address_that_nobody_answers_is_one_message(closed_port, cli_process, tmp_path):
    store = tmp_path / "results"
    code, _, err = cli_process("run", "--ray-address", f"127.0.0.1:{closed_port}", "--store", store)
    assert code == 2
    last = err.splitlines()[-1]
    assert last.startswith(f"error: no Ray cluster at 127.0.0.1:{closed_port}: no answer (Connection refused).")
    assert err.count("error") == 1
    assert "gcs" not in err
    assert not store.exists()


def test_a_dry_run_and_doctor_ask_the_cluster_too(closed_port, cli):
    for command in (("run", "--dry-run", "--device", "cpu"), ("doctor",)):
        code, _, err = cli(*command, "--ray-address", f"127.0.0.1:{closed_port}")
        assert code == 2
        assert "no answer" in err


def test_a_port_that_says_nothing_is_given_up(listener, monkeypatch):
    assert join_module.ANSWER_S <= 3
    monkeypatch.setattr(join_module, "ANSWER_S", 0.25)
    assert "no answer within 0.25 s" in refused(f"127.0.0.1:{listener(b'')}")


def test_another_server_is_told_from_ray(listener):
    assert "the service that answers is not Ray" in refused(f"127.0.0.1:{listener(b'HTTP/1.1 400 Bad Request')}")


@pytest.mark.parametrize("address", ["head", "6379", "head:port", "http//x:1", ""])
def test_what_is_no_address_is_refused(address):
    assert "expected `auto` or HOST:PORT" in refused(address)


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265"])
def test_addresses_of_clients_say_what_they_need(address):
    told = refused(address)
    assert "which need the extras `ray[client]`" in told
    assert "`ray job submit`" in told


def nothing_runs(monkeypatch, left_behind=None):
    """Let no Ray run on this machine, whatever other tests do; a crashed one may have left its address."""
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", lambda: set())
    monkeypatch.setattr("ray._private.services.find_bootstrap_address", lambda folder: left_behind)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_auto_where_no_ray_runs_says_how_to_start_one(monkeypatch):
    nothing_runs(monkeypatch)
    assert "no Ray runs on this machine. Start one with `ray start --head`" in refused("auto")


def test_auto_is_not_misled_by_what_a_crashed_ray_left(monkeypatch, closed_port):
    nothing_runs(monkeypatch, f"127.0.0.1:{closed_port}")
    assert "(auto): no answer" in refused("auto")


def test_auto_takes_the_address_of_the_environment(monkeypatch, closed_port):
    nothing_runs(monkeypatch)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed_port}")
    assert f":{closed_port} (auto): no answer" in refused("auto")


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (2, "cuda")])
def test_auto_is_what_a_node_that_is_there_has(gpus, device, monkeypatch):
    rows = [{"Alive": True, "Resources": {"CPU": 1.0}}, {"Alive": True, "Resources": {"GPU": gpus}}]
    rows.append({"Alive": False, "Resources": {"GPU": 8}})
    ray = SimpleNamespace(nodes=lambda: rows)
    monkeypatch.setattr(join_module, "joined", lambda address: contextlib.nullcontext(ray))
    assert cluster_device("head:6379", "auto") == device
    if device == "cpu":
        with pytest.raises(UserError, match="none of the 2 nodes of the Ray at head:6379 has a GPU"):
            cluster_device("head:6379", "cuda")
    assert cluster_device("head:6379", "cuda", may_grow=True) == "cuda"


ASK = "import sys; from harness.execution.ray.join import cluster_device; print(cluster_device(sys.argv[1], 'auto'))"


@pytest.mark.slow
@pytest.mark.drill
def test_a_cluster_that_asks_for_a_token_says_so(tmp_path):
    """As after `ray start --head` on a machine where a local run has made a token."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5" * 64}
    with cluster(env=token) as address:
        own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        own |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        for given, wanted in {"": 1, "RAY_AUTH_MODE": 1, "RAY_AUTH_TOKEN": 0}.items():
            env = own | ({"RAY_AUTH_MODE": "token"} if given else {}) | (token if given == "RAY_AUTH_TOKEN" else {})
            done = subprocess.run([sys.executable, "-c", ASK, address], env=env, capture_output=True, text=True)
            assert done.returncode == wanted, done.stderr
            if wanted:
                assert f"the Ray cluster at {address} requires an authentication token" in done.stderr
                assert "gcs_client" not in done.stderr
            else:
                assert done.stdout.strip() == "cpu"
