"""Why Ray did not bring a task to its end: one line for people, and whether the system is to blame or the job itself.

In: the exception of `ray.get`, where the job ran, what Ray knows of the nodes, and the worker's last words. Out: an outcome.
What the system took away may be tried again; an exception of the job may not: it would only come again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.text import shorten
from harness.jobs.execute import MOST_CHARACTERS, Outcome, Where

_NODE_ID = re.compile(r"node ID: ([0-9a-f]{20,})", re.I)


PREEMPTED = 3
"""Ray's number of a node that was drained because its machine is taken away."""


@dataclass(frozen=True)
class Node:
    """What Ray says of a node.

    Attributes:
        host: name of the machine.
        alive: whether it is in the cluster.
        why: why it is not, in Ray's words; empty where it says nothing.
    """

    host: str
    alive: bool
    why: str = ""


def read_nodes(table: list[dict[str, Any]]) -> dict[str, Node]:
    """Return the nodes of `ray.nodes()` by their id, those that left included."""
    return {
        node["NodeID"]: Node(
            node["NodeManagerHostname"],
            node["Alive"],
            "preempted" if node.get("DeathReason") == PREEMPTED else node.get("DeathReasonMessage") or "",
        )
        for node in table
    }


def as_outcome(
    key: str, error: Exception, where: Where | None, nodes: Mapping[str, Node], last_words: tuple[str, str] = ("", "")
) -> Outcome:
    """Return how a job ended whose task raised.

    Args:
        key: of the job.
        error: what `ray.get` raised.
        where: where the job had begun; None where it had not.
        nodes: by Ray's id.
        last_words: one line and all of what the worker wrote when it died.
    """
    if (cause := _own(error)) is not None:
        text = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
        return Outcome(key, shorten(text, MOST_CHARACTERS), str(error), where=where)
    trace = "\n\n".join(filter(None, [str(error).strip(), last_words[1]]))
    return Outcome(key, _reason(error, where, nodes, last_words[0]), trace, lost=True, where=where)


def _own(error: Exception) -> BaseException | None:
    """Return what the job or its set-up raised by itself; None where the system took the task away."""
    from ray import exceptions as ray

    if isinstance(error, ray.RayTaskError):
        cause = error.cause
        return None if isinstance(cause, ray.TaskCancelledError | ray.ObjectLostError) else cause
    own = not isinstance(error, ray.RayError) or isinstance(error, ray.RuntimeEnvSetupError | ray.AuthenticationError)
    return error if own else None


def _reason(error: Exception, where: Where | None, nodes: Mapping[str, Node], last_words: str) -> str:
    from ray import exceptions as ray

    host = where.host if where else "a node of the cluster"
    if isinstance(error, ray.OutOfMemoryError):
        return f"out of memory on {host}: Ray killed the worker"
    if (gone := _left(error, where, nodes)) is not None:
        return gone
    if isinstance(error, ray.TaskCancelledError):
        return "the worker was interrupted"
    if isinstance(error, ray.TaskUnschedulableError):
        return "its node left the cluster before the job started"
    if isinstance(error, ray.ObjectLostError):
        return f"Ray lost the job's inputs ({type(error).__name__})"
    if isinstance(error, ray.WorkerCrashedError):
        return f"worker died: {last_words}" if last_words else KILLED
    return f"{type(error).__name__}: {shorten(' '.join(str(error).split()), 200)}"


KILLED = "worker died: killed by signal 9 (manually or out of memory), or its connections were closed"


def _left(error: Exception, where: Where | None, nodes: Mapping[str, Node]) -> str | None:
    """Return which node left the cluster, and why; None where it is there."""
    from ray import exceptions as ray

    named = _NODE_ID.search(str(error))
    id_ = named.group(1) if named else where.node if where else ""
    node = nodes.get(id_)
    is_gone = isinstance(error, ray.NodeDiedError) or (node is not None and not node.alive)
    if not is_gone:
        return None
    host = node.host if node else where.host if where else ""
    why = f" ({shorten(node.why, 100)})" if node and node.why else ""
    return f"node {host or id_[:12] or 'unknown'} left the cluster{why}"
