"""What jobs ask of Ray, and what a cluster has: CPUs, GPUs and memory.

In: jobs and the resources of nodes, by Ray's names. Out: options of a task; whether it fits.
"""

from __future__ import annotations

from typing import Any

from harness.core.run_status import Machine
from harness.jobs.job import Job

GB = 10**9


def task_options(job: Job, device: str) -> dict[str, Any]:
    """Return what a job asks Ray for."""
    return {
        "num_cpus": job.resources.cpus,
        "num_gpus": (job.resources.gpus or 1) if device.startswith("cuda") else 0,
        "memory": int(job.resources.memory_gb * GB),
    }


def needs(job: Job, device: str) -> dict[str, float]:
    """Return what a job holds of a node, by Ray's names."""
    asked = task_options(job, device)
    return {"CPU": asked["num_cpus"], "GPU": asked["num_gpus"], "memory": asked["memory"]}


def fits(resources: dict[str, float], running: list[dict[str, float]], needs: dict[str, float]) -> bool:
    """Return whether a job that needs so many CPUs, GPUs and bytes of memory fits beside those that run.

    Args:
        resources: of a node or a cluster, by Ray's names; one that is not named is not there.
        running: what each running job holds.
        needs: what the job asks for.
    """
    return all(
        sum(held[name] for held in running) + amount <= resources.get(name, 0) + 1e-6 for name, amount in needs.items()
    )


def machine(node: dict[str, Any]) -> Machine:
    """Return what a node, as `ray.nodes()` describes it, offers to jobs."""
    has = node["Resources"]
    return Machine(
        host=str(node["NodeManagerHostname"]),
        node=str(node["NodeID"]),
        cpus=float(has.get("CPU", 0)),
        gpus=float(has.get("GPU", 0)),
    )


def check_fit(jobs: list[Job], nodes: list[dict[str, float]], device: str) -> str:
    """Return why a job among these can never start on any of the nodes; empty where all can."""
    for job in jobs:
        asked = needs(job, device)
        if not job.runs_on_driver and not any(fits(node, [], asked) for node in nodes):
            return (
                f"job {job.title!r} asks for {asked['CPU']} CPUs, {asked['GPU']} GPUs and "
                f"{asked['memory'] / GB:.1f} GB; no node of this Ray has that "
                f"({len(nodes)} nodes, the largest with {max(n.get('CPU', 0) for n in nodes):.0f} CPUs and "
                f"{max(n.get('memory', 0) for n in nodes) / GB:.1f} GB). Join a cluster that has it with "
                f"--ray-address, or lower `resources` of {job.kind} in the suite. The number of CPUs belongs to a "
                "job's key: what is in the store was made with the old number and will be made again."
            )
    return ""
