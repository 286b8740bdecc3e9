"""The executors by name: where jobs run. Same plan, same results, whichever runs it.

An executor is a class with the calls of `harness.execution.executor.Executor`, made with the run's `JobContext` and
`ExecutorOptions`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.core.registry import Registry


@dataclass(frozen=True)
class ExecutorOptions:
    """What a request says to its executor.

    Attributes:
        ray_address: a running Ray cluster; None: a local one for this run.
        workers: CPUs that may be used; None: all.
        wait_for_nodes: seconds to wait for a node that fits a job, where a cluster grows; 0: refuse such a job at once.
        refresh: call it with the stages of running jobs, by key, at each report; it moves a live view.
        say: call it with a line for people, before the first job.
        together: whether trainings that differ in their seeds only may be one on a GPU; not under a time limit of a job.
    """

    ray_address: str | None = None
    workers: int | None = None
    wait_for_nodes: float = 0.0
    refresh: Callable[[dict[str, Any]], None] = lambda stages: None
    say: Callable[[str], None] = lambda line: None
    together: bool = True


executors: Registry[Callable[..., Any]] = Registry(
    "executor", {"ray": "harness.execution.ray.executor:RayExecutor", "local": "harness.execution.local:LocalExecutor"}
)


def register_executor(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that makes an executor known as `--executor NAME`."""
    return executors.register(name)
