"""Start a Ray on this machine, or join a cluster; what is wrong with an address is said within seconds.

Ray itself asks a machine that does not answer for minutes and writes warnings meanwhile, so its port is tried first.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from harness.core.errors import UserError

ANSWER_S = 3.0
"""How long a machine may take to answer."""

_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What an HTTP/2 client says first, as gRPC does, with empty settings; a server answers with its own settings (frame type 4)."""

_SETTINGS = 4

LOCAL = "Use --executor local to run in this process, or give the address of a running cluster."


def join(address: str | None, num_cpus: int | None) -> Any:
    """Connect this process to Ray and return the `ray` module.

    Args:
        address: of a running cluster ("auto", "host:6379"); None: a local Ray for this run.
        num_cpus: CPUs of a local Ray; None: all cores.

    Raises:
        UserError: no cluster at the address, one that cannot be used, or Ray cannot be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        _connect(address, quiet)
        return ray
    try:
        ray.init(address="local", num_cpus=num_cpus or os.cpu_count(), include_dashboard=False, **quiet)
    except Exception as error:
        raise UserError(f"Ray cannot be started here: {error}. {LOCAL}") from None
    return ray


@contextlib.contextmanager
def joined(address: str) -> Iterator[Any]:
    """Join a cluster for a question or two; yields the `ray` module.

    Raises:
        UserError: as `join`.
    """
    on_term = signal.getsignal(signal.SIGTERM)  # Ray sets its own
    ray = join(address, None)
    try:
        yield ray
    finally:
        ray.shutdown()
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, on_term)


def cluster_device(address: str, wanted: str, *, may_grow: bool = False) -> str:
    """Return the kind of device that jobs on a cluster compute on.

    Args:
        address: of the cluster.
        wanted: "cpu", "cuda", or "auto": a GPU if a node has one now.
        may_grow: the run waits for nodes that come later.

    Raises:
        UserError: the cluster cannot be joined, or a GPU is wanted and no node has one.
    """
    with joined(address) as ray:
        nodes = [node for node in ray.nodes() if node["Alive"]]
    has_gpu = any(node["Resources"].get("GPU") for node in nodes)
    if wanted == "cuda" and not (has_gpu or may_grow):
        raise UserError(
            f"device 'cuda': none of the {len(nodes)} nodes of the Ray at {address} has a GPU (if Ray does not detect "
            "them, use `ray start --num-gpus=N`); use --device cpu, or --wait-for-nodes SECONDS on an autoscaling "
            "cluster."
        )
    return wanted if wanted != "auto" else "cuda" if has_gpu else "cpu"


def _connect(address: str, options: dict[str, Any]) -> None:
    """Join the cluster at an address.

    Raises:
        UserError: no cluster there, or one that cannot be used.
    """
    import ray

    place = _locate(address)
    named = f"{place} (auto)" if address == "auto" else address
    _check_answer(place, named)
    before, problem = os.environ.get(_TRIES), ""
    os.environ[_TRIES] = "1"
    try:
        with _silent():
            ray.init(address=address, **options)
    except Exception as error:
        problem = _why(error, named)
    finally:
        if before is None:
            del os.environ[_TRIES]
        else:
            os.environ[_TRIES] = before
    if problem:
        ray.shutdown()  # what is left of the connection would end this process a minute after the cluster's end
        raise UserError(problem)


_TRIES = "RAY_gcs_server_port_wait_time_s"
"""Ray asks so often, once a second, for the head's answer; 20 times of itself, also where it refuses a token."""


def _locate(address: str) -> str:
    """Return "host:port" of an address; "auto" is $RAY_ADDRESS, else the cluster that runs on this machine.

    Raises:
        UserError: it is none, or nothing runs here.
    """
    from ray._private import services  # the only place that knows which clusters run here

    given = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if "://" in given:
        raise UserError(
            f"--ray-address {given}: this is the address of a Ray Client or a dashboard, which need the extras "
            "`ray[client]` or `ray[default]`; the harness must run on a machine of the cluster. Use `auto` on a "
            "machine of the cluster, or submit the command with `ray job submit` (docs/cluster.md)."
        )
    if given != "auto" and not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):\d{1,5}", given):
        raise UserError(
            f"--ray-address {given!r}: expected `auto` or HOST:PORT, as printed by `ray start --head`, e.g. head:6379."
        )
    try:
        return str(services.canonicalize_bootstrap_address(given))
    except ConnectionError:
        raise UserError(
            "--ray-address auto: no Ray runs on this machine. Start one with `ray start --head`, join this machine to "
            "a cluster with `ray start --address=HEAD:6379`, or omit the option: a run then starts its own Ray."
        ) from None
    except ValueError as error:
        raise UserError(f"--ray-address {given!r}: {error}.") from None


def _check_answer(place: str, named: str) -> None:
    """Make sure that a Ray head may be there: something that speaks its protocol.

    Raises:
        UserError: nobody answers, or something else.
    """
    host, _, port = place.rpartition(":")
    problem = "the service that answers is not Ray"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return
            connection.sendall(_HELLO)
            answer = connection.recv(9)
        if len(answer) > 3 and answer[3] == _SETTINGS:
            return
    except TimeoutError:
        problem = f"no answer within {ANSWER_S:g} s"
    except (OSError, OverflowError) as error:
        problem = f"no answer ({getattr(error, 'strerror', None) or error})"
    raise UserError(
        f"no Ray cluster at {named}: {problem}. Check that its head is running (`ray status` there), that this is the "
        "port of `ray start --head` (default 6379), and that the port is open between the machines. Without "
        "--ray-address, a run starts its own Ray on this machine."
    )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep what Ray's C++ parts write on standard error from the terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as away:
            os.dup2(away.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _why(error: Exception, named: str) -> str:
    """Return in one message why a cluster that answers cannot be joined."""
    text = _all_text(error)
    if "AuthenticationError" in text or "authentication token" in text:
        return (
            f"the Ray cluster at {named} requires an authentication token, but this command has none or a different "
            "one. Copy ~/.ray/auth_token of the head to the same path here (or set RAY_AUTH_TOKEN_PATH to its path), "
            "set RAY_AUTH_MODE=token, also for `ray start --address` on each machine, and try again "
            "(docs/cluster.md)."
        )
    if "Version mismatch" in text:
        ray_there, ray_here = re.findall(r"Ray: (\S+)", text)[:2]
        python_there, python_here = re.findall(r"Python: (\S+)", text)[:2]
        return (
            f"the Ray cluster at {named} runs Ray {ray_there} with Python {python_there}, but this command uses Ray "
            f"{ray_here} with Python {python_here}. Both must be the same: start the cluster from the environment of "
            "this command."
        )
    if "node to connect to" in text:
        return (
            f"the Ray cluster at {named} answers, but this machine is not one of its nodes. Join it first, with `ray "
            f"start --address={named.split()[0]} --num-cpus=0`, or run the command on one of them."
        )
    return f"the Ray cluster at {named} answers, but cannot be joined: {' '.join(str(error).split())}."


def _all_text(error: BaseException | None) -> str:
    """Return the names and texts of an error and of those that it came from."""
    texts = []
    while error is not None:
        texts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(texts)
